"""A whole study with ``--device cuda`` in which the CPU stands in for the GPU: every stage, in real workers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parent.parent
STUDY = (
    *("--model", "shufflenet_v2_x0_5", "--weights", "random", "--inputs", "photos", "--image-size", "64"),
    *("--images", "2", "--batch-sizes", "2", "--threads", "1", "--variants", "fp32,int8-dynamic", "--quiet"),
    *("--race-seconds", "0", "--certify", "off"),
)
GRID = 'deterministic = "on"\ncublas_workspace = ":4096:8"\ncuda_graphs = "on"\n'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    (home / "grid.toml").write_text(GRID)
    argv = [*STUDY, "--device", "cuda", "--grid", "grid.toml", "--out", "there"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.stand_in", *argv],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, 1), done.stderr
    assert "stand-in (driver 0, CUDA 0, cuDNN 0) for fp32" in (home / "there" / "report.md").read_text()
    content: dict[str, Any] = json.loads((home / "there" / "report.json").read_text())
    jsonschema.validate(content, json.loads((ROOT / "reports" / "schema.json").read_text()))
    return content


def test_float_variants_run_on_the_device_and_the_others_on_the_cpu(report: dict[str, Any]) -> None:
    variants = {variant["name"]: variant for variant in report["variants"]}
    assert {name: (variant["status"], variant["device"]) for name, variant in variants.items()} == {
        "fp32": ("measured", "cuda"),
        "int8-dynamic": ("measured", "cpu"),
    }
    options = {
        "tf32": "off",
        "cudnn_benchmark": "off",
        "deterministic": "on",
        "cublas_workspace": ":4096:8",
        "cuda_graphs": "on",
    }
    for variant in variants.values():
        assert {c["kind"] for c in variant["comparisons"]} >= {"batch-vs-singles", "repeat", "vs-reference"}
        for comparison in variant["comparisons"]:
            condition = comparison["condition"]
            on_device = variant["device"] == "cuda"
            assert (condition["device"], condition["cuda"]) == (("cuda", options) if on_device else ("cpu", None))
    left = [part["what"] for part in variants["int8-dynamic"]["not_run"]]
    assert "device cuda" in left and "device cuda" not in [part["what"] for part in variants["fp32"]["not_run"]]


def test_what_the_device_says_of_itself_is_in_the_report(report: dict[str, Any]) -> None:
    fp32, dynamic = report["variants"]
    assert fp32["effective"]["provider"] == "stand-in"
    assert "deterministic algorithms on" in fp32["effective"]["note"]
    assert "CUBLAS_WORKSPACE_CONFIG :4096:8" in fp32["effective"]["note"]
    assert fp32["cost"]["device_memory"] == {"allocated_bytes": 1_000_000, "reserved_bytes": 2_000_000}
    assert dynamic["cost"]["device_memory"] is None
    assert report["environment"]["device"]["GPU"] == "stand-in"
    assert report["environment"]["settings"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_origins_are_sought_and_repaired_there_without_the_host_s_threads(report: dict[str, Any]) -> None:
    fp32 = report["variants"][0]
    assert fp32["locating"] is not None or fp32["verdict"] == "batch-invariant"
    for repair in fp32["repairs"] or []:
        if repair["name"] in ("one-thread", "streams"):
            assert repair["batch_invariant"] is None
    for origin in fp32["origins"] or []:
        named = [cause["evidence"] for cause in origin["causes"] if cause["name"] == "kernel-switch"]
        assert all("aten::" in evidence for evidence in named)  # from the profiler, not from oneDNN's log
        assert origin["reproducer"] is None and "scripts show differences of the CPU" in origin["reproducer_note"]
