"""A fault while one variant is compared, judged, priced, explained or chosen is its own; the others are reported."""

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.study import assess, explain, measure, study
from tests.faulty.studies import report
from tests.in_process import Commands
from tests.models.ort.small_onnx import classifier
from tests.pipeline.inputs.helpers import pictures

STUDY = (
    *("--onnx", "net.onnx", "--inputs", "pictures", "--image-size", "64", "--images", "4", "--batch-sizes", "2,4"),
    *("--race-seconds", "0", "--certify", "off"),
)
VICTIM = "ort-int8-dynamic"  # its outputs depend on the batch whatever the processor: there is something to explain


@pytest.fixture
def home(tmp_path: Path) -> Path:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(6)))
    return tmp_path


def concerns(value: Any) -> bool:
    """Whether a value is, holds or describes the victim."""
    if isinstance(value, str):
        return value == VICTIM
    if isinstance(value, list | tuple):
        return any(map(concerns, value))
    return VICTIM in (getattr(value, "variant", None), getattr(value, "name", None)) and (
        getattr(value, "status", "measured") == "measured"
    )


def planted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """The named function raises where an argument concerns the victim."""
    real: Callable[..., Any] = getattr(module, name)

    def faulty(*arguments: Any, **named: Any) -> Any:
        if concerns(arguments):
            raise ValueError("planted\nby a test")
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, faulty)


@pytest.mark.parametrize(
    ("module", "name", "doing"),
    [
        (measure, "joined", "joining its evidence"),
        (study, "cost_of", "reading its times"),
        (assess, "batch_classes", "comparing its outputs"),
        (assess, "_accuracy", "comparing its outputs"),
        (study, "answer", "answering the question"),
        (study, "recommend", "recommending"),
    ],
)
def test_a_fault_in_one_variant_is_its_failure(
    home: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, doing: str
) -> None:
    planted(monkeypatch, module, name)
    ended = commands(home, *STUDY, "--variants", f"ort-fp32,{VICTIM}", "--no-explain", "--out", "run")
    assert ended.code == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    whole, victim = report(home / "run")["variants"]
    assert (whole["status"], victim["status"], victim["verdict"]) == ("measured", "failed", None)
    assert whole["verdict"]
    assert victim["reason"] == f"{doing} failed: ValueError: planted by a test"
    assert "--debug" in victim["remedy"]
    for file in ("report.html", "report.md"):
        assert "planted by a test" in (home / "run" / file).read_text()


def test_what_cannot_be_explained_keeps_its_verdict(
    home: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, explain, "_look_inside")
    ended = commands(home, *STUDY, "--variants", f"ort-fp32,{VICTIM}", "--out", "run")
    assert ended.code == 3, ended.stderr
    victim = report(home / "run")["variants"][1]
    assert (victim["status"], victim["verdict"]) == ("measured", "batch-variant")
    (lost,) = [left_out for left_out in victim["not_run"] if left_out["failed"]]
    assert lost["what"] == "origins and repair" and lost["origins"]
    assert "ValueError: planted by a test" in lost["why"] and "--debug" in lost["why"]


def test_what_fails_for_no_single_variant_is_a_part_that_is_missing(
    home: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: Any) -> Any:
        if len(arguments[0]) > 1:
            raise ZeroDivisionError("planted")
        return recommend(*arguments)

    monkeypatch.setattr(study, "recommend", never)
    ended = commands(home, *STUDY, "--variants", "ort-fp32,ort-int8", "--no-explain", "--out", "run")
    assert ended.code == 3, ended.stderr
    study_report = report(home / "run")
    assert [variant["status"] for variant in study_report["variants"]] == ["measured", "measured"]
    assert study_report["recommendation"] is None and study_report["answer"]
    assert [warning["code"] for warning in study_report["warnings"]].count("lost-part") == 1


def test_a_signal_that_breaks_off_an_import_is_no_fault_of_a_variant(
    home: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*arguments: Any) -> Any:
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        raise ImportError("of numpy")

    monkeypatch.setattr(assess, "batch_classes", broken_off)
    assert commands(home, *STUDY, "--variants", "ort-fp32", "--out", "run").code == 143
