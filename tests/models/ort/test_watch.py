from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from isobatch.models.ort import watch as ort_watch
from isobatch.models.ort.graph import optimised_graph
from isobatch.models.ort.runner import OrtRunner
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.runner import Inspectable, Layer, Rows
from isobatch.models.spec.words import Artifact, RunnerSettings
from tests.models.ort.small_onnx import build, classifier, pixels, request

NAMES = ["ort-fp32", "ort-fp16", "ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"]
THREADS = 2


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("watch")
    made_of = request(folder, classifier(), calibration=pixels(4))
    return {name: build(name, made_of, folder) for name in NAMES}


@pytest.fixture(params=NAMES)
def runner(request: pytest.FixtureRequest, artifacts: dict[str, Artifact]) -> Iterator[OrtRunner]:
    with load(find_variant(request.param).open)(artifacts[request.param], RunnerSettings(THREADS)) as opened:
        yield opened


def seen(runner: OrtRunner, images: np.ndarray) -> list[tuple[Layer, Rows, Rows]]:
    found: list[tuple[Layer, Rows, Rows]] = []
    runner.watch(images, lambda layer, inputs, outputs: found.append((layer, inputs, outputs)))
    return found


def equal(first: Rows, second: Rows) -> bool:
    return [(a.dtype, a.shape, a.tobytes()) for a in first] == [(b.dtype, b.shape, b.tobytes()) for b in second]


@pytest.mark.parametrize("count", [1, 5])
def test_watching_changes_no_bit(runner: OrtRunner, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(runner, Inspectable)
    monkeypatch.setattr(ort_watch, "_SEGMENT", 3)  # how many nodes are left depends on the machine's fusions
    images = pixels(count, seed=3)
    layers = []
    logits = runner.watch(images, lambda layer, inputs, outputs: layers.append(layer.name))
    assert equal((logits,), (runner.run(images),))
    assert len(layers) == len(set(layers)) > 3  # more than one segment


def test_the_graph_that_runs_is_the_same_each_time(tmp_path: Path) -> None:
    """By names too: a repaired one is known by its hash, and onnxruntime numbers some nodes in any order."""
    onnx.save(classifier(), tmp_path / "net.onnx")
    assert len({optimised_graph(tmp_path / "net.onnx", 1).SerializeToString(deterministic=True) for _ in range(6)}) == 1


def test_what_is_seen_is_what_one_session_of_the_whole_graph_holds(artifacts: dict[str, Artifact]) -> None:
    images = pixels(4, seed=4)
    for name in NAMES:
        path = artifacts[name].folder / MODEL_FILE
        model = optimised_graph(path, THREADS)
        written = {output for node in model.graph.node for output in node.output} - {"logits"}
        model.graph.output.extend(onnx.ValueInfoProto(name=output) for output in written)
        session = open_session(model.SerializeToString(), THREADS, optimise=False)
        names = [value.name for value in session.get_outputs()]
        held = {value.tobytes() for value in session.run(names, {"images": images})}
        with OrtRunner(artifacts[name], RunnerSettings(THREADS)) as runner:
            for layer, _, outputs in seen(runner, images):
                assert {output.tobytes() for output in outputs} <= held, (name, layer.name)


def test_replaying_gives_what_was_seen(runner: OrtRunner) -> None:
    for layer, inputs, outputs in seen(runner, pixels(5, seed=5)):
        assert inputs and outputs
        assert equal(runner.replay(layer.name, inputs), outputs), layer.name


def test_all_that_is_seen_has_a_row_for_every_image(runner: OrtRunner) -> None:
    for layer, inputs, outputs in seen(runner, pixels(5)):
        assert {len(value) for value in (*inputs, *outputs)} == {5}, layer.name


def test_what_is_seen_cannot_be_written_to_and_stays(runner: OrtRunner) -> None:
    images = pixels(3)
    rows = seen(runner, images)
    before = [value.tobytes() for _, inputs, outputs in rows for value in (*inputs, *outputs)]
    images[:] = 0
    runner.run(images)
    runner.watch(images, lambda layer, inputs, outputs: None)
    assert before == [value.tobytes() for _, inputs, outputs in rows for value in (*inputs, *outputs)]
    for layer, inputs, outputs in rows:
        assert not any(value.flags.writeable for value in (*inputs, *outputs)), layer.name


def test_a_scale_of_the_batch_makes_its_layer_an_origin(artifacts: dict[str, Artifact]) -> None:
    with OrtRunner(artifacts["ort-int8-dynamic"], RunnerSettings(THREADS)) as runner:
        differing = set()
        for layer, inputs, outputs in seen(runner, pixels(4) * np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1, 1)):
            alone = runner.replay(layer.name, tuple(value[:1] for value in inputs))
            if not equal(alone, tuple(value[:1] for value in outputs)):
                differing.add(layer.name)
            assert layer.kind.startswith("dynamic-") == (layer.name in {"a", "b", "c", "fc"})
    assert differing == {"a", "b", "c", "fc"}


def test_an_unknown_layer_is_a_key_error(artifacts: dict[str, Artifact]) -> None:
    with OrtRunner(artifacts["ort-fp32"], RunnerSettings(1)) as runner, pytest.raises(KeyError, match="nowhere"):
        runner.replay("nowhere", (pixels(1),))


def test_a_closed_runner_shows_nothing(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    runner = OrtRunner(artifacts["ort-fp32"], RunnerSettings(1))
    with runner:
        runner.watch(pixels(1), lambda layer, inputs, outputs: None)
    with pytest.raises(RuntimeError, match="`with` block"):
        runner.watch(pixels(1), lambda layer, inputs, outputs: None)
