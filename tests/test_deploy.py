"""``deploy`` and ``verify`` as the report names them, followed to the letter; then the folder without this project."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.torch import save_file

from isobatch.models.registry import find_variant
from isobatch.models.weights.random_weights import random_state
from isobatch.pipeline.decide.repaired_variants import native_name, with_repairs
from isobatch.reports.files.json_report import load_study, study_json
from tests.in_process import Commands, Ended
from tests.models.ort.small_onnx import classifier, pixels
from tests.waiting import ENDS_S

SIDE, COUNT = 32, 4
OURS = ("isobatch", "pipeline", "models", "reports", "run")
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({OURS!r}))\n"  # none of them can be imported
PROMISED = """
import hashlib, json
import numpy as np
from infer import Network
network, images = Network(), np.load("images.npy", allow_pickle=False)
for n in map(int, sys.argv[1:]):
    rows = [network(images[start : start + n]) for start in range(0, len(images), n)]
    print(hashlib.sha256(np.concatenate(rows).tobytes()).hexdigest())
"""
AS_A_SCRIPT = """
import runpy
sys.argv = ["infer.py", "images.npy", "--out", "outputs.npy"]
runpy.run_path("infer.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: weights of ResNet18 of their own, an ONNX file of their own, images."""
    folder = tmp_path_factory.mktemp("user")
    save_file(random_state("resnet18", 7), folder / "own.safetensors")
    onnx.save(classifier(), folder / "small.onnx")
    spread = np.linspace(0.5, 3, 3 * COUNT, dtype=np.float32).reshape(-1, 1, 1, 1)
    np.save(folder / "images.npy", pixels(3 * COUNT, (SIDE, SIDE)) * spread)  # some to measure, the rest to calibrate
    return folder


@pytest.fixture(scope="module")
def run_here(home: Path, commands: Commands) -> Callable[..., Ended]:
    return partial(commands, home)


def study(run_here: Callable[..., Ended], out: str, *what: str) -> None:
    common = [
        "--inputs",
        "images.npy",
        "--images",
        str(COUNT),
        "--batch-sizes",
        "2-3",
        "--threads",
        "1",
        "--no-explain",
        "--policy",
        "none",
        "--race-seconds",
        "0",
    ]
    ended = run_here(*what, *common, "--out", out, "--quiet")
    assert ended.code == 0, ended.stderr


@pytest.fixture(scope="module")
def torch_run(home: Path, run_here: Callable[..., Ended]) -> Path:
    """A study of ResNet18, to whose fp32 a repair was added: every convolution, BatchNorm and the end row by row."""
    weights = ("--model", "resnet18", "--weights", "own.safetensors", "--certify", "off")
    study(run_here, "torch-run", *weights, "--variants", "fp32,int8-x86")
    report = home / "torch-run" / "report.json"
    record = json.loads(report.read_text())
    fp32 = next(variant for variant in record["variants"] if variant["name"] == "fp32")
    row_by_row = {name: {"size": 1, "up_to": 0, "least": 1} for name in _layers()}
    delivery = {"inputs": fp32["cost"]["inputs"], "change": {"canonical": row_by_row}, "serving": {}, "sha256": None}
    fp32["repairs"] = [{"name": "surgical", "batch_invariant": True, "scope": "four images", "delivery": delivery}]
    report.write_text(json.dumps(record))
    return home / "torch-run"


def _layers() -> list[str]:
    from isobatch.models.weights.networks import skeleton

    kinds = ("Conv2d", "BatchNorm2d", "Linear", "AdaptiveAvgPool2d")
    return [name for name, module in skeleton("resnet18", 7).named_modules() if type(module).__name__ in kinds]


@pytest.fixture(scope="module")
def onnx_run(home: Path, run_here: Callable[..., Ended]) -> Path:
    """A study of an ONNX file, whose choice is verified at more N than there are images."""
    study(run_here, "onnx-run", "--onnx", "small.onnx", "--variants", "ort-fp32,ort-int8-dynamic", "--certify", "1-6")
    return home / "onnx-run"


def alone(folder: Path, code: str, *argv: str) -> list[str]:
    """The lines printed by code that is run in the shipped folder where nothing of this project can be imported."""
    command = [sys.executable, "-c", BLOCKED + code, *argv]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=ENDS_S)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def promised(folder: Path) -> None:
    """In an empty folder that holds the shipped one alone the loader gives the recorded bytes at every N."""
    outputs = record_of(folder)["outputs"]
    assert alone(folder, PROMISED, *(str(output["batch_size"]) for output in outputs)) == [
        output["sha256"] for output in outputs
    ]


def as_measured(run: Path, folder: Path, variant: str) -> int:
    """How many of the shipped files are those of the study, to the byte: all but what describes a repair."""
    kept = json.loads((run / "artifacts.json").read_text())["artifacts"]
    native = next(artifact_kept for artifact_kept in kept if artifact_kept["variant"] == variant)
    measured = [file for file in record_of(folder)["files"] if file["file"] != "repair.json"]
    assert measured and all(native["digests"][measurement["file"]] == measurement["sha256"] for measurement in measured)
    return len(measured)


def elsewhere(shipped: Path, tmp_path: Path) -> Path:
    """The shipped folder, and nothing else, in an empty place."""
    moved = tmp_path / "elsewhere" / "network"
    shutil.copytree(shipped, moved)
    return moved


def test_the_lines_of_the_report_followed_literally_give_the_measured_network(
    home: Path, run_here: Callable[..., Ended], torch_run: Path, tmp_path: Path
) -> None:
    chosen = load_study(torch_run).recommendation
    assert chosen is not None and chosen.chosen in ("fp32", "int8-x86")
    text = (torch_run / "report.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("python run.py ") and "deployed" in line]
    assert [shlex.split(line)[2] for line in lines] == ["deploy", "verify"]
    for line in lines:
        ended = run_here(*shlex.split(line)[2:])
        assert ended.code == 0, ended.stdout + ended.stderr
    assert "kept with the run, unchanged" not in ended.stdout and "no output changed" in ended.stdout
    record = record_of(home / "deployed")
    assert record["variant"] == chosen.chosen and [stored["n"] for stored in record["inputs"]] == [COUNT]
    assert as_measured(torch_run, home / "deployed", chosen.chosen) == len(record["files"])
    moved = elsewhere(home / "deployed", tmp_path)
    promised(moved)
    told = alone(moved, AS_A_SCRIPT)
    assert len(told) == COUNT and all("class " in line for line in told)
    assert np.load(moved / "outputs.npy").shape == (COUNT, 7)


@pytest.mark.parametrize("variant", ["not chosen", "fp32+surgical"])
def test_a_torchvision_network_with_own_weights(
    home: Path, run_here: Callable[..., Ended], torch_run: Path, tmp_path: Path, variant: str
) -> None:
    chosen = load_study(torch_run).recommendation
    if variant == "not chosen":
        variant = "fp32" if chosen and chosen.chosen == "int8-x86" else "int8-x86"
    out, native = f"shipped-{variant}", variant.partition("+")[0]
    ended = run_here("deploy", "torch-run", "--variant", variant, "--out", out)
    with_run = chosen is not None and native == native_name(chosen.chosen or "")
    where = "kept with the run" if with_run else "from the cache"
    assert ended.code == 0 and f"{where}, unchanged" in ended.stdout, ended.stderr
    record, repaired = record_of(home / out), variant == "fp32+surgical"
    assert len(record["files"]) == as_measured(torch_run, home / out, native) + repaired
    assert record["batch_invariant"] == (load_verdict(torch_run, variant) == "batch-invariant")
    promised(elsewhere(home / out, tmp_path))
    assert not repaired or run_here("verify", out).code == 0


def load_verdict(run: Path, variant: str) -> str | None:
    return next(each.verdict for each in with_repairs(load_study(run).variants) if each.name == variant)


@pytest.mark.parametrize("variant", ["ort-fp32", "ort-int8-dynamic"])
def test_a_users_onnx_file(
    home: Path, run_here: Callable[..., Ended], onnx_run: Path, tmp_path: Path, variant: str
) -> None:
    ended = run_here("deploy", "onnx-run", "--variant", variant, "--out", f"shipped-{variant}")
    assert ended.code == 0, ended.stderr
    assert record_of(home / f"shipped-{variant}")["model"] == "small.onnx"
    promised(elsewhere(home / f"shipped-{variant}", tmp_path))
    assert run_here("verify", f"shipped-{variant}/record.json").code == 0


def test_a_run_ships_without_the_cache_and_never_another_artifact(
    home: Path, run_here: Callable[..., Ended], onnx_run: Path
) -> None:
    kept = json.loads((onnx_run / "artifacts.json").read_text())["artifacts"]
    artifact = next(artifact_kept["artifact"] for artifact_kept in kept if artifact_kept["variant"] == "ort-fp32")
    shutil.rmtree(artifact["folder"])
    (home / "small.onnx").rename(home / "moved.onnx")
    ended = run_here("deploy", "onnx-run", "--variant", "ort-fp32", "--out", "without")
    (home / "moved.onnx").rename(home / "small.onnx")
    assert ended.code == 0 and "kept with the run, unchanged" in ended.stdout, ended.stderr
    with (onnx_run / "artifacts" / artifact["key"] / "model.onnx").open("ab") as file:
        file.write(b" ")
    ended = run_here("deploy", "onnx-run", "--variant", "ort-fp32", "--out", "other")
    assert ended.code == 2 and "[artifact-gone]" in ended.stderr and "neither in" in ended.stderr
    assert not (home / "other").exists()


def test_what_cannot_be_shipped_is_one_clear_line(
    home: Path, run_here: Callable[..., Ended], torch_run: Path, tmp_path: Path
) -> None:
    for argv, text in [
        (["torch-run", "--variant", "fp33", "--out", "x"], "measured no candidate 'fp33': did you mean 'fp32'? It has"),
        (["torch-run", "--variant", "fp64", "--out", "x"], "[not-deployable]: fp64 is the reference"),
        (["torch-run", "--variant", "fp32", "--out", "torch-run"], "[out-not-empty]"),
        (["nowhere", "--out", "x"], "[report]"),
    ]:
        ended = run_here("deploy", *argv)
        assert ended.code == 2 and text in ended.stderr and ended.stderr.count("\n") == 1
    older = tmp_path / "older"
    older.mkdir()
    shutil.copy(torch_run / "report.json", older)
    ended = run_here("deploy", str(older), "--variant", "fp32", "--out", "x")
    assert ended.code == 2 and "[artifact-gone]" in ended.stderr and "run the study again" in ended.stderr
    loaded = load_study(torch_run)
    assert loaded.recommendation is not None
    nothing = loaded.model_copy(update={"recommendation": loaded.recommendation.model_copy(update={"chosen": None})})
    (older / "report.json").write_text(study_json(nothing))
    ended = run_here("deploy", str(older), "--out", "x")
    assert ended.code == 2 and "[nothing-chosen]" in ended.stderr
    assert find_variant("fp32").runtime == "torch" and not (home / "x").exists()
