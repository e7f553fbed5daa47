"""What only a GPU can show: a study on it, its clock, counters, graphs and kernels. Skipped where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from isobatch.models.machine.out_of_memory import out_of_memory
from isobatch.models.pytorch.device.devices import device_of, timed
from isobatch.models.pytorch.device_runner import DeviceTorchRunner
from isobatch.models.spec.words import CudaOptions, RunnerSettings
from tests.models.pytorch.small_networks import pixels, seeded, watched
from tests.models.pytorch.test_device_runner import net
from tests.test_run import ROOT, SMALL

pytestmark = pytest.mark.gpu
IMAGES = pixels(3)


def run(cwd: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own: one that has initialised CUDA can fork none that uses it."""
    command = [sys.executable, str(ROOT / "run.py"), *argv]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


def opened(**options: str) -> DeviceTorchRunner:
    settings = RunnerSettings(1, device="cuda", cuda=CudaOptions(**options))
    return DeviceTorchRunner(lambda: seeded(net), settings)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A study of a small network with float variants on the GPU and one integer variant beside them."""
    home = tmp_path_factory.mktemp("home")
    variants = "fp32,fp16,bf16,int8-x86"
    done = run(home, *SMALL, "--device", "cuda", "--variants", variants, "--batch-sizes", "2,4", "--out", "there")
    assert done.returncode in (0, 1), done.stderr
    content: dict[str, Any] = json.loads((home / "there" / "report.json").read_text())
    jsonschema.validate(content, json.loads((ROOT / "reports" / "schema.json").read_text()))
    return content


def test_float_variants_run_there_and_the_others_are_listed_as_the_cpu_s(report: dict[str, Any]) -> None:
    variants = {variant["name"]: variant for variant in report["variants"]}
    assert {name: variant["device"] for name, variant in variants.items()} == {
        "fp32": "cuda",
        "fp16": "cuda",
        "bf16": "cuda",
        "int8-x86": "cpu",
    }
    for variant in variants.values():
        assert variant["status"] == "measured", variant["reason"]
        assert {c["condition"]["device"] for c in variant["comparisons"]} == {variant["device"]}
    assert any(left["what"] == "device cuda" for left in variants["int8-x86"]["not_run"])
    assert variants["fp32"]["effective"]["precision"] == "fp32"
    assert set(report["environment"]["device"]) >= {"GPU", "driver", "CUDA", "cuDNN"}
    cost = variants["fp32"]["cost"]
    assert 0 < cost["device_memory"]["allocated_bytes"] <= cost["device_memory"]["reserved_bytes"]


def test_origins_on_the_gpu_name_their_kernels(report: dict[str, Any]) -> None:
    for variant in report["variants"]:
        for origin in (variant["origins"] or []) if variant["device"] == "cuda" else []:
            assert origin["reproducer"] is None
            assert {cause["name"] for cause in origin["causes"]} & {"kernel-switch"}


@pytest.mark.parametrize("graphs", ["off", "on"])
def test_graphs_replay_the_bytes_of_plain_calls(graphs: str) -> None:
    with opened() as plain:
        expected = plain.run(IMAGES)
    with opened(cuda_graphs=graphs) as runner:
        outputs = runner.run(IMAGES)
        assert runner.run(IMAGES[::-1].copy()).tobytes() == outputs[::-1].tobytes()
        assert np.abs(outputs - expected).max() < 1e-4
        assert runner.device_memory()["allocated"] > 0


def test_the_clock_is_the_device_s() -> None:
    device = device_of("cuda")
    matrix = torch.ones((2048, 2048), device="cuda")
    _, one = timed(device, lambda: matrix @ matrix)
    _, many = timed(device, lambda: [matrix @ matrix for _ in range(50)])
    assert 0 < one < many < 60


def test_kernels_are_named_by_the_profiler() -> None:
    with opened() as runner:
        _, inputs, _ = watched(runner, IMAGES)["0"]
        names = runner.kernels("0", inputs)
        assert names and not any("Memcpy" in name or "aten::" in name for name in names)


def test_tf32_moves_bits_and_is_found_by_the_test_convolution() -> None:
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("this GPU has no TF32")
    with opened(tf32="on") as runner:
        assert runner.effective().precision == "tf32"
    with opened() as runner:
        assert runner.effective().precision == "fp32"


def test_too_little_memory_is_told() -> None:
    with pytest.raises(torch.cuda.OutOfMemoryError) as raised:
        torch.empty(1 << 50, dtype=torch.int8, device="cuda")
    assert out_of_memory(raised.value) is not None


def test_every_option_can_be_asked_for(tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'tf32 = ["off", "on"]\ncudnn_benchmark = ["off", "on"]\ndeterministic = ["off", "on"]\n'
        'cublas_workspace = ":4096:8"\ncuda_graphs = ["off", "on"]\n'
    )
    argv = ["--device", "cuda", "--variants", "fp32", "--batch-sizes", "2", "--grid", str(grid), "--no-explain"]
    done = run(tmp_path, *SMALL, *argv, "--out", "all")
    assert done.returncode in (0, 1), done.stderr
    (variant,) = json.loads((tmp_path / "all" / "report.json").read_text())["variants"]
    assert len({json.dumps(c["condition"]["cuda"]) for c in variant["comparisons"]}) == 16
