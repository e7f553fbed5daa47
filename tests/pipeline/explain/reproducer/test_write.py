"""Reproducers of real small layers: the data found and cut, the script started alone, its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isobatch.models.spec.case import Case, Shrink, file_name, script
from isobatch.models.spec.runner import Layer, Rows
from isobatch.models.spec.templates import common
from isobatch.pipeline.explain.findings import LayerFinding, Located
from isobatch.pipeline.explain.reproducer.reduce import reduce_data, shows
from isobatch.pipeline.explain.reproducer.write import FOLDER, Starter, still_there, write_reproducers
from isobatch.pipeline.study.inside.crossing import Looked
from tests.models.pytorch.small_networks import OneUlpWhenBatched, opened, pixels, seeded, with_planted
from tests.waiting import ENDS_S, until

Arrays = dict[str, Any]


def planted(marker: Callable[[Arrays], bool], count: int = 6, channels: int = 8) -> Case:
    """A case whose first value moves in a batch of at least two, where ``marker`` says so of the arrays."""

    def prepare(arrays: Arrays) -> Callable[[Arrays], list[Any]]:
        def run(given: Arrays) -> list[Any]:
            out = given["x0"].copy()
            if len(out) > 1 and marker(given):
                out.flat[0] += 1
            return [out]

        return run

    x = np.arange(count * channels, dtype=np.float32).reshape(count, channels)
    shrinks = (Shrink("input channels", (("weight", 0), ("x0", 1))),)
    return Case("torch", {}, {"x0": x, "weight": x[0]}, ("x0",), prepare, shrinks)


def test_data_is_cut_to_two_images_and_the_channel_that_matters() -> None:
    case = planted(lambda arrays: 5.0 in arrays["x0"])
    assert shows(case, dict(case.arrays))
    arrays, cuts = reduce_data(case)
    assert arrays["x0"].tolist() == [[5.0], [13.0]] and arrays["weight"].tolist() == [5.0]
    assert cuts == ["images", "input channels"]


def test_nothing_is_cut_that_the_difference_needs() -> None:
    case = planted(lambda arrays: arrays["x0"].shape == (6, 8))
    arrays, cuts = reduce_data(case)
    assert arrays["x0"].shape == (6, 8) and cuts == []


def test_names_of_files_hold_nothing_but_plain_characters() -> None:
    assert file_name("fp32", "../../etc/passwd\n$(rm)") == "fp32-.._.._etc_passwd_rm"
    assert "/" not in file_name("ort-fp32", "/a/b") and len(file_name("v", "x" * 500)) == 80


def test_a_hostile_name_stays_a_string_of_the_script() -> None:
    name = "x'''\"\"\"\n__import__('os').abort()\n\x1b[31m\u202e"
    text = script("torch", {"layer": name})
    scope: dict[str, Any] = {"__name__": "script", "__file__": "script.py"}
    exec(compile(text, "script", "exec"), scope)
    assert scope["CASE"] == {"layer": name}
    assert "\x1b" not in text and "\u202e" not in text


def write(net: nn.Module, folder: Path, kind: str = "conv2d", found_by: str = "captured") -> tuple[dict[str, Any], Any]:
    """Reproducers of the layers of that kind, claimed to differ at N = 2."""
    runner = opened(net)
    images = pixels(3)
    layers: dict[str, Layer] = {}

    def see(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        layers[layer.name] = layer

    with runner, Starter("torch", folder / FOLDER) as starter:
        runner.watch(images, see)
        findings = {
            name: LayerFinding(layer, differing={2: int(layer.kind == kind)}, tried=1, found_by=found_by)
            for name, layer in layers.items()
        }
        located = Located(findings, True, [])
        return dict(write_reproducers(runner, located, images, "fp32", folder, 1, starter)), layers


def run(path: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv, env = [sys.executable, "-I", str(path), *flags], os.environ | environment
    return subprocess.run(argv, capture_output=True, text=True, timeout=ENDS_S, env=env)


SEVERAL = """
import json, os, runpy, sys, tempfile
import torch
for path, flags, environment in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile("w+") as said:
        if (pid := os.fork()) == 0:
            os.dup2(said.fileno(), 1)
            os.environ.update(environment)
            sys.argv = [path, *flags]
            code = 70
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                code = end.code
            sys.stdout.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        print(json.dumps([code, said.read()]))
"""
"""Runs scripts as ``run`` does, each in a fork of one process that has imported torch and nothing else."""


def run_several(*jobs: tuple[Path, list[str], dict[str, str]]) -> list[tuple[int, str]]:
    """(exit code, what was printed) of each script with its flags and environment."""
    asked = json.dumps([(str(path), flags, environment) for path, flags, environment in jobs])
    argv = [sys.executable, "-I", "-c", SEVERAL, asked]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=ENDS_S, check=True)
    return [(code, text) for code, text in map(json.loads, done.stdout.splitlines())]


class Leaky(nn.Module):
    """One operation that mixes the images of a batch: its rows depend on N whatever the data."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cumsum(x, 0)


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script of a layer that leaks, and whatever lies beside it."""
    folder = tmp_path_factory.mktemp("run")
    reproducers, layers = write(with_planted(Leaky()), folder, kind="cumsum")
    (name,) = (name for name, layer in layers.items() if layer.kind == "cumsum")
    assert reproducers[name].path is not None, reproducers[name].note
    assert reproducers[name].path.startswith(f"{FOLDER}/fp32-")
    return folder / reproducers[name].path


def test_a_script_shows_its_difference_to_whoever_starts_it(leak: Path) -> None:
    done = run(leak)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the difference exists" in done.stdout and "the same bytes" in done.stdout
    assert torch.__version__ in done.stdout and "aten.cumsum.default" in done.stdout
    assert str(Path(__file__).parents[4]) not in leak.read_text()


def test_another_environment_other_data_and_a_difference_that_is_gone_are_told_apart(
    leak: Path, tmp_path: Path
) -> None:
    altered, repaired = tmp_path / "altered.py", tmp_path / "repaired.py"
    altered.write_text(leak.read_text().replace("'seed': 1", "'seed': 2"))
    repaired.write_text(
        leak.read_text()
        .replace("aten.cumsum.default", "aten.cumsum_.default")
        .replace("{'is': 'value', 'value': 0}", "{'is': 'value', 'value': 1}")
    )
    capped = {"MKL_CBWR": "COMPATIBLE"}
    jobs = ((leak, [], capped), (leak, ["--any-environment"], capped), (altered, [], {}), (repaired, [], {}))
    other, overruled, no_evidence, gone = run_several(*jobs)
    assert other[0] == 2 and "MKL_CBWR was not set" in other[1]
    assert overruled[0] == 1
    assert no_evidence[0] == 2 and "not those that the difference was seen on" in no_evidence[1]
    assert gone[0] == 0 and "the difference is gone" in gone[1], gone[1]


def test_a_layer_without_a_difference_gets_no_script_but_a_reason(tmp_path: Path) -> None:
    reproducers, _ = write(seeded(lambda: nn.Sequential(nn.MaxPool2d(4), nn.Flatten())), tmp_path, kind="max-pool")
    (only,) = reproducers.values()
    assert only.path is None and "no data was found" in only.note
    assert not list(tmp_path.rglob("*.py"))


def test_a_layer_whose_arithmetic_is_no_single_operation_gets_a_reason(tmp_path: Path) -> None:
    reproducers, layers = write(with_planted(OneUlpWhenBatched()), tmp_path, kind="one-ulp-when-batched")
    assert reproducers == {} or all(one.path is None and one.note for one in reproducers.values())
    assert layers


def test_scripts_are_started_alone_and_one_that_crashes_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    (tmp_path / "b.py").write_text("import sys\nprint('x')\nassert 'pipeline' not in sys.modules\nsys.exit(1)\n")
    (tmp_path / "c.py").write_text("raise ValueError\n")
    with Starter("onnxruntime", tmp_path) as starter:
        assert starter.codes(["a.py", "b.py", "c.py"]) == {"a.py": -11, "b.py": 1, "c.py": 70}


def test_a_script_that_hangs_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    (tmp_path / "hangs.py").write_text(hanging)
    told = tmp_path / "pid"
    for seconds in (1.0, 30.0, 300.0):  # a busy machine may start it late
        monkeypatch.setattr("isobatch.pipeline.explain.reproducer.write._TIMEOUT_S", seconds)
        with Starter("json", tmp_path) as starter:
            assert starter.codes(["hangs.py"]) == {}
        if told.is_file() and told.read_text():
            break
    until(lambda: not Path(f"/proc/{told.read_text()}").exists())


def test_a_starter_that_is_not_needed_ends_with_its_block(tmp_path: Path) -> None:
    with Starter("onnxruntime", tmp_path) as starter:
        process = starter._process
        assert process.poll() is None
    assert process.poll() is not None


def test_a_study_that_goes_on_lists_no_file_that_was_removed(tmp_path: Path) -> None:
    (tmp_path / "kept.py").touch()
    listed = {
        "a": {"path": "kept.py", "note": ""},
        "b": {"path": "gone.py", "note": ""},
        "c": {"path": None, "note": "-"},
    }
    found = {"locatable": True, "reproducers": listed, "neighbour_effect": {"example": "gone.npy"}}
    again = still_there(found, tmp_path)
    assert {layer: one["path"] for layer, one in again["reproducers"].items()} == {"a": "kept.py", "b": None, "c": None}
    assert "removed" in again["reproducers"]["b"]["note"] and again["reproducers"]["c"]["note"] == "-"
    assert again["neighbour_effect"] is None and again["locatable"]
    sealed = Looked(locatable=False, why="-")  # as of a compiled network
    assert Looked.of(still_there(sealed.to_json(), tmp_path)) == sealed


def test_drawn_data_is_the_same_everywhere_and_keeps_constants() -> None:
    recipe = {
        "seed": 3,
        "arrays": {
            "x": {"shape": [2, 3], "type": "float32", "low": 0.0, "high": 2.0},
            "codes": {"shape": [4], "type": "int8", "low": -3, "high": 3},
            "zero": {"shape": [], "type": "int64", "low": 5, "high": 5},
        },
    }
    first, second = common.from_seed(recipe), common.from_seed(json.loads(json.dumps(recipe)))
    assert common.digest(first) == common.digest(second)
    assert first["zero"] == 5 and first["x"].min() >= 0 and first["x"].max() <= 2 and abs(first["codes"]).max() <= 3
