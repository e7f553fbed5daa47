"""Layers of onnxruntime graphs taken out into scripts: the same bytes, and a script that ends as it should."""

import subprocess
import sys
from pathlib import Path

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.case import Reproducible
from isobatch.models.spec.runner import Layer, Rows
from isobatch.models.spec.words import RunnerSettings
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.reproducer.write import FOLDER, Starter, write_reproducers
from tests.models.ort.small_onnx import build, classifier, pixels, request
from tests.waiting import ENDS_S

SETTINGS = RunnerSettings(threads=1)


def test_a_case_gives_the_bytes_of_the_deployed_layer(tmp_path: Path) -> None:
    artifact = build("ort-int8-dynamic", request(tmp_path, classifier()), tmp_path)
    told = []
    with load(find_variant("ort-int8-dynamic").open)(artifact, SETTINGS) as runner:
        assert isinstance(runner, Reproducible)

        def see(layer: Layer, inputs: Rows, outputs: Rows) -> None:
            case = runner.case(layer.name, inputs)
            found = case.prepare(dict(case.arrays))(dict(case.arrays))
            assert [part.tobytes() for part in found] == [part.tobytes() for part in outputs], layer.name
            told.append(layer.kind)

        runner.watch(pixels(3), see)
    assert {"dynamic-conv2d", "average-pool"} <= set(told)


def test_the_dynamic_layers_scripts_show_their_scale_at_work(tmp_path: Path) -> None:
    artifact = build("ort-int8-dynamic", request(tmp_path, classifier()), tmp_path)
    run_folder = tmp_path / "run"
    starting = Starter("onnxruntime", run_folder / FOLDER)
    with load(find_variant("ort-int8-dynamic").open)(artifact, SETTINGS) as runner, starting as starter:
        images = pixels(4)
        located = locate(runner, images, [2, 4], seed=1)
        reproducers = write_reproducers(runner, located, images, "ort-int8-dynamic", run_folder, 1, starter)
    origins = {name for name, finding in located.findings.items() if finding.batch_sizes}
    assert origins and set(reproducers) == origins
    assert all(one.path for one in reproducers.values()), reproducers
    script = run_folder / str(next(iter(reproducers.values())).path)
    done = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, timeout=ENDS_S)
    assert done.returncode == 1 and "DynamicQuantizeLinear" in done.stdout, done.stdout + done.stderr
    script.with_suffix(".onnx").unlink()
    done = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, timeout=ENDS_S)
    assert done.returncode == 2 and "could not be run" in done.stdout
