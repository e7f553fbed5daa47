"""What a study has said when it is stopped: verdicts on the screen, and a whole report that names what is to come."""

from pathlib import Path
from typing import Any

import onnx
import pytest

from isobatch.pipeline.study import study
from tests.faulty.studies import report
from tests.in_process import Commands
from tests.models.ort.small_onnx import classifier
from tests.pipeline.inputs.helpers import pictures

STUDY = (
    *("--onnx", "net.onnx", "--inputs", "pictures", "--image-size", "64", "--images", "4", "--batch-sizes", "2,4"),
    *("--race-seconds", "0", "--certify", "off"),
)


def stopped(*arguments: Any) -> Any:
    raise KeyboardInterrupt


def test_a_study_that_is_stopped_leaves_what_it_knows(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(6)))

    with monkeypatch.context() as patch:
        patch.setattr(study, "explain", stopped)
        ended = commands(tmp_path, *STUDY, "--variants", "ort-fp32,ort-int8-dynamic", "--out", "run")
    assert ended.code == 130, ended.stderr
    assert "ort-int8-dynamic: batch-variant: " in ended.stderr
    assert "report.html" in ended.stderr
    study_report = report(tmp_path / "run")
    assert study_report["pending"] == ["origins and repairs", "race", "recommendation"]
    assert [variant["verdict"] is not None for variant in study_report["variants"]] == [True, True]
    assert study_report["answer"] and study_report["recommendation"] is None
    assert all(variant["cost"] for variant in study_report["variants"])
    assert "still to come: origins and repairs" in (tmp_path / "run" / "report.html").read_text()
    for command in (("recommend", "run"), ("compare", "run", "run")):
        refused = commands(tmp_path, *command)
        assert refused.code == 2
        assert "error [unfinished-report]" in refused.stderr and "goes on where it stopped" in refused.stderr
    assert commands(tmp_path, "render", "run").code in (0, 1, 3)
    again = commands(tmp_path, *STUDY, "--variants", "ort-fp32,ort-int8-dynamic", "--out", "run")
    assert again.code in (0, 1, 3), again.stderr
    whole = report(tmp_path / "run")
    assert whole["pending"] == [] and whole["recommendation"]
    assert "pending" not in [warning["code"] for warning in whole["warnings"]]


def test_a_study_that_is_stopped_while_its_choice_is_verified_keeps_the_race(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(6)))

    raced = (*STUDY[:-4], "--race-seconds", "2", "--certify", "1-3", "--min-agreement", "0")
    with monkeypatch.context() as patch:
        patch.setattr(study, "certify", stopped)
        ended = commands(tmp_path, *raced, "--variants", "ort-fp32,ort-fp16", "--out", "run")
    assert ended.code == 130, ended.stderr
    assert "race over " in ended.stderr and "; the choice comes next" in ended.stderr
    known = report(tmp_path / "run")
    assert known["pending"] == ["verifying the choice over its range", "recommendation"]
    assert known["race"]["contestants"] and known["recommendation"] is None
    assert "still to come: verifying the choice" in (tmp_path / "run" / "report.html").read_text()


def test_a_study_goes_on_with_the_images_that_it_began_with(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number % 3}/{number}.png" for number in range(12)))

    asked = (*STUDY, "--variants", "ort-fp32", "--out", "run")
    with monkeypatch.context() as patch:
        patch.setattr(study, "run_references", stopped)
        assert commands(tmp_path, *asked).code == 130
    began = {file.name: file.read_bytes() for file in (tmp_path / "run" / "inputs").glob("folder-*")}
    pictures(tmp_path / "pictures", *(f"{number % 3}/{number}.png" for number in range(12, 40)))
    ended = commands(tmp_path, *asked)
    assert ended.code in (0, 1, 3), ended.stderr
    inputs = tmp_path / "run" / "inputs"
    assert began == {file.name: file.read_bytes() for file in inputs.glob("folder-*")}
    assert [file.name for file in (inputs / "labelled").iterdir()] == ["folder-labelled.u8"]


def test_one_worker_serves_all_sets_of_a_variant(tmp_path: Path, commands: Commands) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(6)))
    ended = commands(
        tmp_path,
        *STUDY[:4],
        "--image-size",
        "64,48",
        *STUDY[6:],
        "--variants",
        "ort-fp32",
        "--no-explain",
        "--out",
        "run",
    )
    assert ended.code in (0, 1, 3), ended.stderr
    assert ended.stderr.count("ort-fp32, round 1 of 2") == 1  # a label is said once a worker that is beside no other
    (variant,) = report(tmp_path / "run")["variants"]
    assert {comparison["inputs"] for comparison in variant["comparisons"]} == {"pictures", "pictures-48px"}
    assert {comparison["kind"] for comparison in variant["comparisons"]} >= {
        "batch-vs-singles",
        "repeat",
        "position",
        "copies",
    }
