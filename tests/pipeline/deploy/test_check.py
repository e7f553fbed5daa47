"""A record from outside, and its claims run again: numbers run, code that is not ours does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import run
from isobatch.models.spec.deployed import code_files
from isobatch.pipeline.deploy.check import Checking, Claim, check, holding
from isobatch.pipeline.deploy.record import read_record
from isobatch.pipeline.records.errors import UsageError
from tests.pipeline.deploy.small import IMAGES, WEIGHT, graph, shipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return shipped(tmp_path / "shipped", scratch)


def claims(folder: Path, trust: bool = False) -> list[Claim]:
    return list(check(folder, Checking(trust)))


def test_a_record_holds_where_it_was_made(folder: Path) -> None:
    checked = claims(folder)
    assert holding(checked) and len(checked) == 7
    assert checked[-1].outcome == "no output changed"
    assert not holding([])
    assert claims(folder / "record.json") == checked


def test_a_changed_weight_is_noticed_by_the_hash_and_where_trusted_by_the_outputs(folder: Path) -> None:
    changed = WEIGHT.copy()
    changed[np.unravel_index(np.abs(IMAGES[0].ravel()[:, None] * WEIGHT).argmax(), WEIGHT.shape)] *= 4
    (folder / "model.onnx").write_bytes(graph(changed))
    assert [claim.holds for claim in claims(folder)] == [False, True, True, True, True]  # and nothing was run
    assert [claim.holds for claim in claims(folder, trust=True)] == [True, False]


def test_where_trusted_a_change_that_moves_no_output_is_said_to_be_none(folder: Path) -> None:
    model = onnx.load_from_string(graph(WEIGHT))
    model.doc_string = "another file, the same numbers"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert not holding(claims(folder))
    assert [claim.outcome for claim in claims(folder, trust=True)][-1] == "no output changed"


def test_an_artifact_that_depends_on_the_batch_fails_its_claim(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(graph(WEIGHT, leak=True))
    first = claims(folder, trust=True)[0]
    assert not first.holds and first.outcome == "differs at N = 2, 3"


def test_an_artifact_that_does_not_load_fails_its_claim(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"no graph")
    (claim,) = claims(folder, trust=True)
    assert not claim.holds and claim.outcome.startswith("a fresh process could not run it: ")


FORGED = """
import pathlib
pathlib.Path({mark!r}).write_text("ran")
{rest}
"""


@pytest.mark.parametrize("name", ["network.py", "infer.py"])
def test_changed_code_is_refused_before_anything_runs_and_runs_only_where_trusted(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    rest = (folder / name).read_text().replace("from __future__ import annotations\n", "")
    (folder / name).write_text(FORGED.format(mark=str(mark), rest=rest))
    assert run.main(["verify", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"FAILS: {name} is what Isobatch writes for this record" in said and "so it is not run" in said
    assert "Nothing of the folder was run." in said and "trust" not in said, "no unsafe flag is suggested"
    assert not mark.exists()
    assert run.main(["verify", str(folder), "--trust"]) == 0
    assert mark.read_text() == "ran" and "with your rights" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["numpy.py", "onnxruntime.py", "sitecustomize.py", "json.py", "usercustomize.py"])
def test_a_module_beside_the_record_is_never_imported(folder: Path, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    (folder / name).write_text(FORGED.format(mark=str(mark), rest=""))
    assert holding(claims(folder)) and not mark.exists()


def test_other_settings_than_the_record_has_are_refused(folder: Path) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | {"threads": 2}))
    checked = claims(folder)
    assert not holding(checked) and checked[-1].outcome == "it has other settings than the record"


def test_a_record_of_before_the_first_release_is_answered_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "record.json").write_text('{"kind": "isobatch-verification", "schema_version": 1}')
    assert run.main(["verify", str(folder), "--trust"]) == 2
    said = capsys.readouterr()
    assert "is no longer read: make it anew with repair or deploy" in said.err and said.out == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda record: record["files"][0].update(file="../model.onnx"), "files.0.file: Input should be"),
        (lambda record: record["files"][0].update(file="torch.py"), "files.0.file: Input should be"),
        (lambda record: record["serving"].update(engine='x"; import os'), "serving.engine: String should match"),
        (lambda record: record["serving"].update(environment={"LD_PRELOAD": "x"}), "serving.environment"),
        (lambda record: record["inputs"][0].update(file="images-else.npy"), "no such plain file beside it"),
        (lambda record: record.update(outputs=[]), "outputs: List should have at least 1"),
        (lambda record: record.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda record: record.update(schema_version=3), "schema version 3, and this program reads 2: use the version"),
        (lambda record: record["outputs"][0].update(inputs="others"), "has outputs of 'others', and no such images"),
        (lambda record: record["outputs"][0].update(batch_size=9), "outputs of N = 9, which its loader splits"),
        (lambda record: record["outputs"].pop(0), "no outputs of single images"),
    ],
)
def test_a_record_from_outside_is_not_believed(folder: Path, change: Any, text: str) -> None:
    record = json.loads((folder / "record.json").read_text())
    change(record)
    (folder / "record.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=text):
        claims(folder)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"{}", b"\xff", b"7"])
def test_what_is_no_record_is_one_line(folder: Path, content: bytes) -> None:
    (folder / "record.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"no verification record|is damaged"):
        claims(folder)


def test_a_device_a_fifo_or_a_link_is_no_file_of_the_record(folder: Path, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    for path in (Path("/dev/zero"), tmp_path / "fifo"):
        with pytest.raises(UsageError, match="is no regular file"):
            claims(path)
    (folder / "images.npy").rename(folder / "other.npy")
    (folder / "images.npy").symlink_to(folder / "other.npy")
    with pytest.raises(UsageError, match="no such plain file"):
        read_record(folder)


def test_the_code_that_is_shipped_is_ours_and_needs_nothing_of_ours(folder: Path) -> None:
    for runtime in ("torch", "onnxruntime"):
        for name, data in code_files(runtime).items():
            compile(data, name, "exec")
            assert not any(f"from {ours}" in data.decode() for ours in ("models.", "pipeline", "isobatch"))
    assert (folder / "network.py").read_bytes() == code_files("onnxruntime")["network.py"]


def test_the_card_says_how_to_run_it_and_keeps_marks_from_outside_plain(folder: Path) -> None:
    card = (folder / "MODEL_CARD.md").read_text()
    assert "python infer.py picture.jpg" in card and "At N = 1 to 3, on 1 thread" in card
    assert "A fact with \\`marks\\`." in card and "calls of more than 3 images are split" in card
