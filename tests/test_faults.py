"""Real studies in which something breaks: variants in their workers, the disk, stored files, the streams, names."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest

from isobatch.pipeline.machine.environment import available_cores
from tests.faulty.studies import (
    GRID,
    ROOT,
    STUDY,
    Ended,
    Started,
    by_name,
    interruptible,
    make_home,
    marks,
    report,
    served,
    start,
    study,
)
from tests.waiting import ENDS_S, until

HOSTILE_FOLDER, HOSTILE_FILE = "<script>alert(1)<", "script>\x1b[31m\n.png"  # joined by "/" they are a whole script
FAILED = {
    "segfault": "SIGSEGV",
    "exit": "code 7",
    "killed": "too little memory",
    "hang": "silent for 20",
    "memory": "MemoryError",
    "allocator": "alloc",
    "exhausted": "out of memory: CUDA out of memory. Tried to allocate 20.00 GiB",
    "raises": "two lines",
    "build-crash": "SIGSEGV",
    "no-module": "tests.no_such_module",
    "three-axes": "shape-mismatch",
    "too-few": "shape-mismatch",
    "no-classes": "shape-mismatch",
    "other-classes": "shape-mismatch",
    "text": "type-mismatch",
}
JUDGED = {
    "nan": ("invalid", "NaN"),
    "inf": ("invalid", "infinite outputs at N = 2"),
    "constant": ("invalid", "one and the same output row"),
    "random": ("not-repeatable", "other bytes the second time"),
    "rotated": ("batch-variant", "top-1"),
    "neighbours": ("batch-variant", "beside an outlier"),
    "healthy": ("batch-invariant", "All bytes"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def whole(home: Path) -> dict[str, Any]:
    """The report of a study in which nothing breaks."""
    ended = study(home, "healthy ort-fp32", "--out", "whole")
    assert ended.code == 0
    return report(home / "whole")


@pytest.fixture(scope="module")
def faulty(home: Path) -> tuple[Ended, dict[str, Any]]:
    """One study of all faulty variants and the healthy one, over pictures some of which have hostile names."""
    bad = home / "pictures" / "2" / HOSTILE_FOLDER
    bad.mkdir()
    (bad / HOSTILE_FILE).write_bytes(b"junk")
    names = " ".join(["unavailable", *FAILED, *JUDGED])
    for limit in ("20", "200"):  # on a busy machine others may be silent for as long as the first
        ended = study(home, names, "--timeout", limit, "--verbose", "--fresh", "--out", "faulty")
        found = report(home / "faulty")
        if sum("silent for" in str(variant["reason"]) for variant in found["variants"]) == 1:
            break
    shutil.rmtree(bad)
    return ended, found


def test_faults_of_single_variants_end_in_three(faulty: tuple[Ended, dict[str, Any]]) -> None:
    ended, faults_report = faulty
    assert ended.code == 3
    assert faults_report["recommendation"]["chosen"] == "faulty-healthy"
    others = {f"faulty-{name}" for name in ("unavailable", *FAILED, *JUDGED)} - {"faulty-healthy"}
    assert {rejection["variant"] for rejection in faults_report["recommendation"]["rejected"]} == others


@pytest.mark.parametrize("name", FAILED)
def test_a_variant_that_breaks_is_failed_with_its_reason(faulty: tuple[Ended, dict[str, Any]], name: str) -> None:
    variant = by_name(faulty[1])[name]
    assert (variant["status"], variant["verdict"], variant["comparisons"]) == ("failed", None, [])
    assert FAILED[name] in variant["reason"]
    assert variant["reason"] == " ".join(variant["reason"].split())
    assert f"faulty-{name}: failed: " in faulty[0].stderr


@pytest.mark.parametrize("name", JUDGED)
def test_a_variant_that_answers_is_judged_by_its_outputs(faulty: tuple[Ended, dict[str, Any]], name: str) -> None:
    variant = by_name(faulty[1])[name]
    verdict, why = JUDGED[name]
    assert (variant["status"], variant["verdict"]) == ("measured", verdict)
    assert why in variant["decided_by"]["why"]
    assert variant["repeatable"] is (name != "random")


def test_what_would_help_is_said(faulty: tuple[Ended, dict[str, Any]]) -> None:
    variants = by_name(faulty[1])
    assert (
        variants["unavailable"]["status"],
        variants["unavailable"]["reason"],
        variants["unavailable"]["remedy"],
    ) == (
        "unavailable",
        "this machine has no such engine",
        "install the engine",
    )
    assert "--timeout" in variants["hang"]["remedy"]
    assert "--batch-sizes" in variants["exhausted"]["remedy"]


def test_too_little_memory_on_a_device_is_one_failed_job(home: Path) -> None:
    ended = study(home, "healthy exhausted-by-two", "--threads", "1,2", "--out", "one-job")
    variants = by_name(report(home / "one-job"))
    assert ended.code == 3
    variant = variants["exhausted-by-two"]
    assert (variant["status"], variant["verdict"]) == ("measured", "batch-invariant")
    assert {comparison["condition"]["threads"] for comparison in variant["comparisons"]} == {1}
    (lost,) = [left_out for left_out in variant["not_run"] if left_out["failed"]]
    assert lost["what"] == "2 threads"
    assert lost["why"].startswith("out of memory: CUDA out of memory. Tried to allocate 20.00 GiB")
    assert {comparison["condition"]["threads"] for comparison in variants["healthy"]["comparisons"]} == {1, 2}


def test_no_text_from_outside_steers_a_reader(home: Path, faulty: tuple[Ended, dict[str, Any]]) -> None:
    ended, faults_report = faulty
    assert len(faults_report["inputs"][0]["skipped"]) == 1  # the picture of the hostile name
    assert "\x1b" not in ended.stdout + ended.stderr
    for file in ("report.html", "report.md"):
        text = (home / "faulty" / file).read_text()
        assert "\x1b" not in text
        assert "<script" not in text
        assert text.count("&lt;script&gt;alert") >= 2  # the reason of a failure, and the picture's name


def test_a_hostile_name_in_an_argument_stays_one_line(home: Path) -> None:
    name = os.fsdecode(b"a\n\x1b[31m<script>\xff.onnx")
    for argv in ([*STUDY, "--inputs", name], ["--variants", name], ["recommend", name]):
        ended = served(home, *argv)
        assert ended.code == 2
        said = ended.stderr.splitlines()[-1]  # the last of perhaps some lines of progress
        assert said.startswith("error [")
        assert "<script>" in said
        assert "\x1b" not in ended.stderr


def test_a_network_and_a_folder_of_hostile_names_are_studied(home: Path) -> None:
    name = os.fsdecode(b"<script>alert(1)\n\x1b[31m\xff")
    network, pictures = home / f"{name}.onnx", home / (name + "x" * (255 - len(os.fsencode(name))))
    shutil.copyfile(home / "small.onnx", network)
    shutil.copytree(home / "pictures", pictures)
    ended = study(home, "healthy", "--onnx", network.name, "--inputs", pictures.name, "--out", "hostile")
    assert ended.code == 0
    assert report(home / "hostile")["weights"]["source"].endswith("?.onnx")
    drawn = [(home / "hostile" / file).read_text() for file in ("report.html", "report.md")]
    assert not any("\x1b" in text for text in (ended.stdout, ended.stderr, *drawn))
    assert not any("<script" in text for text in drawn)


def test_where_nothing_was_measured_nothing_was_decided(home: Path) -> None:
    assert study(home, "unavailable segfault", "--quiet", "--out", "nothing").code == 3
    study_report = report(home / "nothing")
    assert [variant["status"] for variant in study_report["variants"]] == ["unavailable", "failed"]


def full(where: str) -> dict[str, str]:
    """An environment in which the disk is full there; see ``tests.faulty.table``."""
    return {"FAULTY_DISK": where}


def flip(path: Path) -> None:
    """Alter one bit of the last byte."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def test_a_full_disk_ends_clearly_and_the_same_command_goes_on(home: Path, whole: dict[str, Any]) -> None:
    """The disk is full at one file after another, further and further into one study; at last its evidence is hurt."""
    argv = ("healthy ort-fp32", "--out", "full")
    cache = {"XDG_CACHE_HOME": str(home / "small-disk")}
    ended = study(home, *argv, env=cache | full("fsync:"))
    assert (ended.code, ended.stderr.count("\n")) == (2, 1)
    assert "error [out-unusable]: cannot write" in ended.stderr
    for where in ("rename:", "replace:.safetensors", "replace:report.json"):
        ended = study(home, *argv, env=cache | full(where))
        assert ended.code == 4
        assert ended.stdout == ""
        said = ended.stderr.splitlines()[-1]
        assert said.startswith("error [storage]: ")
        assert "No space left on device" in said
        assert "Free space and run again" in said
        assert not list((home / "full").glob("report.*"))
    flip(next((home / "full" / "evidence" / "ort-fp32").glob("*-r0-*")))
    ended = study(home, *argv, env=cache)
    assert ended.code == 0
    assert "resuming" in ended.stderr
    assert report(home / "full")["timing"]["kept_jobs"] == 3  # of 4: the damaged one was measured again
    assert marks(report(home / "full")) == marks(whole)


def test_workers_at_a_time_are_no_part_of_what_is_found(home: Path) -> None:
    """With fewer than the most threads nothing is timed, so the jobs of two variants run side by side there."""
    reports = {}
    for workers in ("1", "2"):
        grid = ("--image-size", "64,32", "--threads", "1,2")
        argv = (*grid, "--workers", workers, "--out", f"workers-{workers}")
        assert study(home, "healthy ort-fp32", *argv).code == 0
        reports[workers] = report(home / f"workers-{workers}")
    assert marks(reports["1"]) == marks(reports["2"])
    assert reports["1"]["timing"]["workers"] == 1
    assert reports["2"]["timing"]["workers"] == min(2, available_cores())


def test_a_damaged_artifact_is_noticed_and_built_again(home: Path, whole: dict[str, Any]) -> None:
    artifacts = home / "out" / "cache" / "artifacts"
    before = {file: file.read_bytes() for file in artifacts.rglob("*.*") if file.suffix in (".f32", ".onnx")}
    for file in before:
        flip(file)
    ended = study(home, "healthy ort-fp32", "--out", "rebuilt")
    assert ended.code == 0
    assert {"build faulty-healthy", "build ort-fp32"} <= set(ended.stderr.splitlines())
    assert marks(report(home / "rebuilt")) == marks(whole)
    mended = {file.name for file, content in before.items() if file.read_bytes() == content}
    assert mended == {"weights.f32", "model.onnx"}


def test_older_files_stand_until_something_new_is_measured(home: Path, whole: dict[str, Any]) -> None:
    before = {
        path: path.read_bytes()
        for path in (home / "whole").rglob("*.*")
        if not {"inputs", "pictures"} & set(path.parts)
    }
    assert {"report.json", "run.json"} < {path.name for path in before}
    unlinked = [path for path in before if "artifacts" not in path.parts]  # the choice's files are linked
    assert len(unlinked) == 4 + 4 + 2  # reports and state, evidence, lock and the artifacts' list
    argv = ("healthy", "--out", "whole", "--fresh")
    assert study(home, *argv, "--dry-run").code == 0
    assert study(home, *argv, "--onnx", "no.onnx").code == 2
    assert study(home, *argv, env=full("replace:folder-evaluation.u8")).code == 4
    assert {path: path.read_bytes() for path in before} == before


def test_two_studies_at_once_on_one_cache(home: Path, whole: dict[str, Any]) -> None:
    argv = (*STUDY, *GRID, "--variants", "faulty-healthy,ort-fp32")
    before = set((home / "out").glob("*Z*"))
    both = [start(home, *argv, env={"XDG_CACHE_HOME": str(home / "shared")}) for _ in range(2)]
    assert [process.end(alone=False).code for process in both] == [0, 0]
    new = set((home / "out").glob("*Z*")) - before
    assert [marks(report(folder)) for folder in new] == [marks(whole)] * 2


def test_a_stopped_study_ends_at_once_and_keeps_what_it_has(home: Path) -> None:
    """Ctrl-C, Ctrl-C twice, SIGTERM, and SIGTERM after Ctrl-C, while one variant hangs."""
    asked = {(SIGINT,): 130, (SIGINT, SIGINT): 130, (SIGTERM,): 143, (SIGINT, SIGTERM): 130}
    argv = (*STUDY, *GRID, "--variants", "faulty-healthy,faulty-hang", "--timeout", str(2 * ENDS_S))
    begun = {}
    for number, signals in enumerate(asked):
        own = home / f"tmp-{number}"
        own.mkdir()
        begun[signals] = start(home, *argv, "--out", f"stopped-{number}", env={"TMPDIR": str(own)})
    for number, (signals, one) in enumerate(begun.items()):
        evidence = home / f"stopped-{number}" / "evidence"
        until(lambda: list(evidence.rglob("*.safetensors")), one.process)  # noqa: B023 (called at once)
        for each in signals:
            one.process.send_signal(each)
            time.sleep(0.02)
        ended = one.end(alone=False)  # which waits less long than the variant hangs
        assert ended.code in ({130, 143} if len(set(signals)) == 2 else {asked[signals]})
        assert ended.stderr.splitlines()[-1].endswith("the same command goes on where it stopped")
        assert list((home / f"tmp-{number}").iterdir()) == []
        assert not (home / f"stopped-{number}" / "report.json").exists()
    ended = study(home, "healthy", "--out", "stopped-0", "--fresh")
    assert ended.code == 0


@pytest.mark.parametrize(("number", "code"), [(SIGINT, 130), (SIGTERM, 143)])
def test_a_signal_that_waited_for_a_caller_who_blocked_it_ends_the_command(number: int, code: int) -> None:
    def blocked() -> None:
        signal.signal(SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
        os.kill(os.getpid(), number)

    ended = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--list-variants"], capture_output=True, text=True, preexec_fn=blocked
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)


BROKEN_OFF = "try: signal.raise_signal(signal.SIGINT)\nexcept BaseException: raise ImportError('of numpy') from None"


@pytest.mark.parametrize("text", ["signal.raise_signal(signal.SIGINT)", BROKEN_OFF])
def test_ctrl_c_during_an_import_ends_in_130_too(tmp_path: Path, text: str) -> None:
    """The import of every dataclass runs a text, and a Python with an interrupted text ends by the signal itself.

    A library may turn what is raised inside it into an error of its own.
    """
    (tmp_path / "early.py").write_text(
        "import signal, sys\n"
        "from isobatch import program\n"
        f"program._dispatch = lambda *asked: exec({text!r})\n"
        "sys.exit(program.main([]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "early"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        preexec_fn=interruptible,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "interrupted: the same command starts anew\n")


def begun(home: Path, out: str, **env: str) -> tuple[Started, Path, Callable[[], Ended]]:
    """A study that has its first evidence; the file that its other variant waits for; and its command once more."""
    argv = (*STUDY, *GRID, "--variants", "faulty-healthy,faulty-hang", "--timeout", str(2 * ENDS_S), "--out", out)
    (home / f"tmp-{out}").mkdir()
    go = home / f"go-{out}"
    env |= {"FAULTY_GO": str(go)}
    started = start(home, *argv, env={"TMPDIR": str(home / f"tmp-{out}"), **env})
    until(lambda: list((home / out / "evidence").rglob("*.safetensors")), started.process)
    return started, go, lambda: start(home, *argv, env=env).end(alone=False)


def unfinished(home: Path, out: str, started: Started, code: str) -> None:
    """The study ends in 4 without a report, and its run can go on."""
    ended = started.end(alone=False)
    assert ended.code == 4, ended
    assert f"error [{code}]" in ended.stderr
    assert not (home / out / "report.json").exists()
    assert json.loads((home / out / "run.json").read_text())["state"] == "running"
    assert list((home / f"tmp-{out}").iterdir()) == []


def test_a_killed_launcher_leaves_a_run_that_the_same_command_finishes(home: Path) -> None:
    started, go, again = begun(home, "launcher-killed")
    parent = started.process.pid
    for launcher in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        os.kill(int(launcher), SIGKILL)
    unfinished(home, "launcher-killed", started, "engine")
    go.touch()
    ended = again()
    assert (ended.code, "resuming" in ended.stderr) == (0, True), ended


def test_artifacts_that_vanish_leave_a_run_that_the_same_command_finishes(home: Path) -> None:
    started, go, again = begun(home, "vanished", XDG_CACHE_HOME=str(home / "vanishing"))
    shutil.rmtree(home / "vanishing" / "isobatch" / "artifacts")
    go.touch()
    unfinished(home, "vanished", started, "storage")
    ended = again()
    assert (ended.code, "resuming" in ended.stderr) == (0, True), ended


def test_nobody_listens(home: Path) -> None:
    reading, pipe = os.pipe()
    os.close(reading)
    argv = (*STUDY, *GRID, "--variants", "faulty-healthy", "--out", "unheard")
    assert start(home, *argv, stdout=pipe, stderr=pipe).end().code == 4  # it could say neither "met" nor "not met"
    assert report(home / "unheard")["recommendation"]["chosen"] == "faulty-healthy"
    assert start(home, "recommend", "unheard", "--json", stdout=pipe).end() == Ended(4, "", "")
    assert start(home, "recommend", "no-such", stderr=pipe).end() == Ended(2, "", "")
    os.close(pipe)


def test_a_terminal_that_knows_ascii_only(home: Path, faulty: tuple[Ended, dict[str, Any]]) -> None:
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for command, settings in (("recommend", {"PYTHONIOENCODING": "ascii"}), ("render", locale)):
        ended = start(home, command, "faulty", env=settings).end()
        assert ended.code == 3
        assert ended.stdout.isascii()
        assert "faulty-healthy" in ended.stdout
    assert "≠" in (home / "faulty" / "report.md").read_text(encoding="utf-8")


def test_without_asserts_a_study_says_the_same(home: Path, whole: dict[str, Any]) -> None:
    names = "faulty-healthy,faulty-raises,faulty-negated"
    argv = (*STUDY, *GRID, "--variants", names, "--max-latency-ms", "0", "--out", "bare")
    assert start(home, *argv, optimised=True).end().code == 1  # "not met" was decided, on what could be measured
    study_report = report(home / "bare")
    assert marks(study_report)["healthy"] == marks(whole)["healthy"]
    assert by_name(study_report)["raises"]["status"] == "failed"
    # and labelled pictures tell whether accuracy depends on N
    (healthy,), (negated,) = (by_name(study_report)[name]["batch_accuracy"] for name in ("healthy", "negated"))
    assert (healthy["changed"], healthy["singles"]["n"]) == (0, 4)
    assert negated["changed"] > 0
    assert healthy["depends"] is negated["depends"] is None  # no margin was given
    assert [at_n["batch_size"] for at_n in negated["at"]] == [2, 4]
