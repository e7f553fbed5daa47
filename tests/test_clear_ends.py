"""Odd requests and odd places: one clear line with the way out, and the exit code of the contract."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import run
from isobatch import program
from isobatch.pipeline.inputs.folder import list_pictures
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.records.errors import UNANSWERED, StoreError, no_room
from tests.faulty.studies import interruptible, report
from tests.in_process import Commands
from tests.models.ort.small_onnx import classifier
from tests.pipeline.inputs.helpers import pictures
from tests.test_bad_inputs import ONNX, SMALL, refused
from tests.waiting import ENDS_S, until

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(4)))
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--onnx", ""), "[usage]: --onnx is empty"),
        (("--out", " "), "[usage]: --out is empty"),
        (("--inputs", ""), "[usage]: --inputs is empty"),
        (("--timeout", "0"), "[bad-number]: --timeout '0' must be above 0"),
        (("--timeout", "1e10"), "[bad-number]: --timeout '1e10' must be above 0 and at most 604800 seconds, a week"),
        (("--seed", str(2**70)), f"[bad-number]: --seed '{2**70}' is above {2**63 - 1}, the most it can be"),
        (("--seed", "9" * 4000), "(4000 digits)"),
        (("--images", str(2**40)), "is above 2147483647"),
        (("--model", "resnet19", "--onnx", "net.onnx"), "--model 'resnet19' beside --onnx"),
        (("--weights", "digits", "--onnx", "net.onnx"), "--weights 'digits' beside --onnx"),
        (("--state-dict", "ema", "--onnx", "net.onnx"), "--state-dict 'ema' beside --onnx"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(
    home: Path, commands: Commands, argv: tuple[str, ...], said: str
) -> None:
    line = refused(commands, home, "--variants", "fp32", *SMALL, *argv)
    assert said in line


def test_a_grid_with_one_axis_in_two_spellings(home: Path, commands: Commands) -> None:
    (home / "grid.toml").write_text("batch-sizes = [2]\nbatch_sizes = [4]\n")
    line = refused(commands, home, *SMALL, "--grid", "grid.toml")
    assert "[bad-grid]" in line and "batch_sizes twice" in line and "keep one" in line


def test_toml_files_that_an_editor_marked_as_utf8(home: Path, commands: Commands) -> None:
    (home / "grid.toml").write_bytes(b"\xef\xbb\xbfbatch_sizes = [3]\n")
    (home / "own.toml").write_bytes(b"\xef\xbb\xbfgrid = 'grid.toml'\n")
    ended = commands(home, "--config", "own.toml", "--show-config", "--json")
    assert ended.code == 0, ended.stderr
    assert {setting["value"] for setting in json.loads(ended.stdout) if setting["flag"] == "--batch-sizes"} == {"3"}


def test_an_output_that_no_operator_computes(home: Path, commands: Commands) -> None:
    model = classifier()
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    stored = helper.make_tensor(model.graph.output[0].name, TensorProto.FLOAT, [1, classes], [0.0] * classes)
    for node in model.graph.node:
        for at, name in enumerate(node.output):
            if name == stored.name:
                node.output[at] = "elsewhere"
    model.graph.initializer.append(stored)
    (home / "net.onnx").write_bytes(model.SerializeToString())
    line = refused(commands, home, *ONNX, "--onnx", "net.onnx", "--inputs", "pictures")
    assert line.startswith("error [onnx]: ")
    assert "StopIteration" not in line and "export" in line


def test_hidden_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    pictures(tmp_path, "seen.png", ".hidden.png", ".thumbnails/small.png", "class/._seen.png")
    files, skipped = list_pictures(tmp_path)
    assert [file.name for file in files] == ["seen.png"]
    why = {file["file"]: file["why"] for file in skipped}
    assert why[".thumbnails"] == "a hidden folder"
    assert why[".hidden.png"].startswith("a hidden file")
    assert why["class/._seen.png"].startswith("a hidden file")


def test_a_path_longer_than_the_system_takes_costs_one_folder(tmp_path: Path) -> None:
    pictures(tmp_path, "seen.png")
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
            Path("picture.png").touch()
    finally:
        os.fchdir(before)
        os.close(before)
    files, skipped = list_pictures(tmp_path)
    assert files[-1] == tmp_path / "seen.png"
    assert len(files) < 26
    assert [file for file in skipped if "name too long" in file["why"]]
    subprocess.run(["rm", "-rf", str(tmp_path / ("d" * 200))], check=True)  # its own tools take no such path


def test_a_temporary_folder_without_room_is_a_matter_of_storage(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/isobatch-x")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    monkeypatch.chdir(home)
    code = run.main(["--variants", "fp32", *SMALL])
    said = capsys.readouterr().err.splitlines()[-1]
    assert (code, said.startswith("error [storage]: cannot write /tmp/isobatch-x: No space left")) == (4, True)
    assert "TMPDIR" in said
    nowhere = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert "TMPDIR" in (no_room(nowhere) or "")
    assert no_room(FileNotFoundError(errno.ENOENT, "no such file")) is None


def test_a_worker_without_room_for_its_answer_is_a_matter_of_storage(launchers: Workers) -> None:
    call = launchers.begin({"OMP_NUM_THREADS": "1"}, "json:dumps", {})
    call.tell({"exit": UNANSWERED, "signal": 0})
    with pytest.raises(StoreError, match="TMPDIR"):
        call.result()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("selftest", "--trials", "9999"), "interrupted: the same command starts anew"),
        (("--fresh",), "starts anew; without --fresh an unfinished run goes on where it stopped"),
        ((), "interrupted: the same command goes on where it stopped"),
    ],
)
def test_that_a_command_goes_on_is_said_only_where_it_does(home: Path, argv: tuple[str, ...], said: str) -> None:
    study = () if "selftest" in argv else ("--onnx", "net.onnx", "--inputs", "pictures", *ONNX)
    command = [sys.executable, str(ROOT / "run.py"), *argv, *(word for word in study if word != "--quiet")]
    started = subprocess.Popen(
        command, cwd=home, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=interruptible
    )
    scratch = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    until(scratch.read_text, started)  # its first launcher is there
    started.send_signal(signal.SIGINT)
    _, stderr = started.communicate(timeout=ENDS_S)
    assert started.returncode == 130
    assert stderr.decode().splitlines()[-1].endswith(said)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_a_library_makes_of_a_signal_is_that_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def importing(*_: Any) -> int:
        try:
            signal.raise_signal(number)
        except BaseException as stop:  # as numpy's import of its own parts does
            raise ImportError("the C-extensions failed") from stop
        return 0

    monkeypatch.setattr(program, "_dispatch", importing)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run.main(["--variants", "fp32"]) == code
    finally:
        stopping.listen()
        for each, handler in before.items():
            signal.signal(each, handler)
    assert capsys.readouterr().err.splitlines()[-1].endswith("the same command starts anew")


def test_a_report_with_variants_of_another_version_can_be_decided_again(home: Path, commands: Commands) -> None:
    assert commands(home, *ONNX, "--onnx", "net.onnx", "--inputs", "pictures").code in (0, 1)
    study_report = report(home / "run")
    text = json.dumps(study_report).replace('"ort-fp32"', '"ort-fp33"')
    (home / "run" / "report.json").write_text(text)
    ended = commands(home, "recommend", "run")
    assert ended.code in (0, 1, 3), ended.stderr
    assert "internal" not in ended.stderr


def test_repair_takes_a_folder_of_any_name(home: Path, commands: Commands) -> None:
    name = "my été 图片"
    (home / "pictures").rename(home / name)
    argv = ("--onnx", "net.onnx", "--inputs", name, "--image-size", "64", "--batch-sizes", "1-3", "--threads", "1")
    ended = commands(home, "repair", "--variant", "ort-int8-dynamic", *argv, "--out", "mended", "--quiet")
    assert ended.code == 0, ended.stderr
    record = json.loads((home / "mended" / "record.json").read_text())
    assert {stored["name"] for stored in record["inputs"]} == {name}
    assert all((home / "mended" / stored["file"]).is_file() for stored in record["inputs"])
    assert commands(home, "verify", "mended/record.json").code == 0
