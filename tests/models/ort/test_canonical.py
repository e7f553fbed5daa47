from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from isobatch.models.ort.canonical import canonical_model
from isobatch.models.ort.runner import OrtRunner
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.runner import WHOLE, Canonical, Rewritable, Runner
from isobatch.models.spec.words import Artifact, RunnerSettings, VariantUnavailable
from tests.models.ort.small_onnx import build, classifier, pixels, request

NAMES = ["ort-fp32", "ort-fp16", "ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"]
THREADS = 2
IMAGES = pixels(9, seed=7) * np.linspace(0.5, 3, 9, dtype=np.float32).reshape(9, 1, 1, 1)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("canonical")
    made_of = request(folder, classifier(), calibration=pixels(4))
    return {name: build(name, made_of, folder) for name in NAMES}


@pytest.fixture(params=NAMES)
def native(request: pytest.FixtureRequest, artifacts: dict[str, Artifact]) -> Iterator[OrtRunner]:
    with load(find_variant(request.param).open)(artifacts[request.param], RunnerSettings(THREADS)) as opened:
        yield opened


@pytest.fixture
def dynamic(artifacts: dict[str, Artifact]) -> Iterator[OrtRunner]:
    with OrtRunner(artifacts["ort-int8-dynamic"], RunnerSettings(THREADS)) as opened:
        yield opened


def every_layer(runner: OrtRunner) -> list[str]:
    names: list[str] = []
    runner.watch(IMAGES[:1], lambda layer, inputs, outputs: names.append(layer.name))
    return names


def singles(runner: Runner) -> NDArray[np.generic]:
    return np.concatenate([runner.run(IMAGES[i : i + 1]) for i in range(len(IMAGES))])


def same_as_singles(runner: Runner, expected: NDArray[np.generic]) -> list[int]:
    return [n for n in range(1, len(IMAGES) + 1) if runner.run(IMAGES[:n]).tobytes() == expected[:n].tobytes()]


def test_all_layers_row_by_row_give_the_native_singles_at_every_n(native: OrtRunner) -> None:
    assert isinstance(native, Rewritable)
    with native.with_canonical(dict.fromkeys(every_layer(native), Canonical(size=1))) as repaired:
        assert same_as_singles(repaired, singles(native)) == [*range(1, 10)]
        assert repaired.effective() == native.effective()


def test_only_the_origins_of_the_dynamic_graph_need_it(dynamic: OrtRunner) -> None:
    expected = singles(dynamic)
    assert same_as_singles(dynamic, expected) == [1]
    rules = dict.fromkeys(["a", "b", "c", "fc"], Canonical(size=1))
    with dynamic.with_canonical(rules) as repaired:
        assert same_as_singles(repaired, expected) == [*range(1, 10)]
    with dynamic.with_canonical({name: rule for name, rule in rules.items() if name != "b"}) as incomplete:
        assert same_as_singles(incomplete, expected) == [1]


@pytest.mark.parametrize("rule", [Canonical(size=2), Canonical(size=4), Canonical(size=4, up_to=2), Canonical(3, 5)])
def test_parts_have_the_size_of_the_rule(dynamic: OrtRunner, rule: Canonical) -> None:
    """With a scale for every part of the rows, the repaired network is the native one on such parts."""

    def by_parts(images: NDArray[np.float32]) -> NDArray[np.generic]:
        if len(images) <= rule.up_to:
            return dynamic.run(images)
        padded = np.concatenate([images, *[images[-1:]] * (-len(images) % rule.size)])
        parts = [dynamic.run(padded[start : start + rule.size]) for start in range(0, len(padded), rule.size)]
        return np.concatenate(parts)[: len(images)]

    with dynamic.with_canonical(dict.fromkeys(every_layer(dynamic), rule)) as repaired:
        for n in range(1, 10):
            assert repaired.run(IMAGES[:n]).tobytes() == by_parts(IMAGES[:n]).tobytes(), n


@pytest.mark.parametrize("rule", [Canonical(size=1), Canonical(size=4, up_to=1)])
def test_weights_are_packed_as_before(rule: Canonical) -> None:
    """onnxruntime gives other bits for a matrix product whose weights it could not pack."""
    generator = np.random.default_rng(0)
    weight, bias = generator.standard_normal((65, 3 * 64), np.float32), np.zeros(65, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"], "flat"),
            helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
        ],
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 65])],
        [numpy_helper.from_array(weight, "fc.weight"), numpy_helper.from_array(bias, "fc.bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    watched = WatchedGraph(model, threads=1)
    images = generator.standard_normal((8, 3, 64), np.float32)
    plain = open_session(model.SerializeToString(), 1, optimise=False)
    parts = open_session(canonical_model(watched, {"fc": rule}).SerializeToString(), 1, optimise=False)
    (expected,) = plain.run(None, {"images": images[: rule.size]})
    (found,) = parts.run(None, {"images": images})
    assert found[: rule.size].tobytes() == expected.tobytes()


def test_the_rewritten_graph_is_a_file_that_any_session_runs(dynamic: OrtRunner) -> None:
    with dynamic.with_canonical(dict.fromkeys(["a", "b", "c", "fc"], Canonical(size=1))) as repaired:
        expected = repaired.run(IMAGES)
        data = repaired.model.SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(data))
    for optimise in (False, True):
        session = open_session(data, THREADS, optimise=optimise)
        assert session.run(None, {"images": IMAGES})[0].tobytes() == expected.tobytes()


def test_the_native_graph_is_left_as_it_was(dynamic: OrtRunner) -> None:
    before = dynamic.run(IMAGES)
    names = every_layer(dynamic)
    with dynamic.with_canonical({"a": Canonical(size=1)}) as repaired:
        repaired.run(IMAGES)
    assert dynamic.run(IMAGES).tobytes() == before.tobytes()
    assert dynamic.watch(IMAGES, lambda layer, inputs, outputs: None).tobytes() == before.tobytes()
    assert every_layer(dynamic) == names


@pytest.mark.parametrize("whole", [True, False])
def test_nodes_need_no_names(artifacts: dict[str, Artifact], whole: bool) -> None:
    """They are optional in ONNX, and several exporters write none: names here come from what nodes write."""
    model = onnx.load_model(artifacts["ort-int8-dynamic"].folder / MODEL_FILE)
    for node in model.graph.node:
        node.name = ""
    watched = WatchedGraph(model, threads=THREADS)
    expected = singles_of(model)
    rules = {WHOLE: Canonical(size=1)} if whole else dict.fromkeys(watched.layers, Canonical(size=1))
    session = open_session(canonical_model(watched, rules).SerializeToString(), THREADS)
    assert session.run(None, {"images": IMAGES})[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("rule", [Canonical(size=1), Canonical(size=4)])
@pytest.mark.parametrize("layer", [WHOLE, "flat", "twice", "logits"])
def test_what_a_scan_gives_has_a_shape_where_none_can_be_inferred(layer: str, rule: Canonical) -> None:
    model = shapeless()
    expected = open_session(model.SerializeToString(), 1, optimise=False).run(None, {"images": IMAGES})[0]
    watched = WatchedGraph(model, threads=1)
    session = open_session(canonical_model(watched, {layer: rule}).SerializeToString(), 1, optimise=False)
    np.testing.assert_allclose(session.run(None, {"images": IMAGES})[0], expected, rtol=1e-4)


def singles_of(model: onnx.ModelProto) -> NDArray[np.generic]:
    session = open_session(model.SerializeToString(), THREADS)
    return np.concatenate([session.run(None, {"images": IMAGES[i : i + 1]})[0] for i in range(len(IMAGES))])


def shapeless() -> onnx.ModelProto:
    """A reshape to what NonZero finds, which no shape inference follows."""
    width = IMAGES[0].size
    weight = np.random.default_rng(0).standard_normal((width, 5), np.float32)
    constants = {
        "w": weight,
        "two": np.float32(2),
        "0": np.array([0]),
        "1": np.array([1]),
        "mask": np.eye(1, width + 1, width) > 0,
    }
    nodes = [
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("Slice", ["shape", "0", "1"], ["rows"]),
        helper.make_node("Squeeze", ["mask", "0"], ["at"]),
        helper.make_node("NonZero", ["at"], ["places"]),
        helper.make_node("Squeeze", ["places", "0"], ["width"]),
        helper.make_node("Concat", ["rows", "width"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["images", "wanted"], ["flat"]),
        helper.make_node("Mul", ["flat", "two"], ["twice"]),
        helper.make_node("MatMul", ["twice", "w"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shapeless",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *IMAGES.shape[1:]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_an_unknown_layer_is_named_beside_the_known(dynamic: OrtRunner) -> None:
    with pytest.raises(KeyError, match="no layer 'nowhere' in this graph; its layers are a, "):
        dynamic.with_canonical({"nowhere": Canonical(size=1)})


def test_a_closed_runner_does_not_run(dynamic: OrtRunner) -> None:
    repaired = dynamic.with_canonical({})
    with pytest.raises(RuntimeError, match="`with` block"):
        repaired.run(IMAGES)


def test_an_old_graph_is_refused() -> None:
    model = classifier()
    model.opset_import[0].version = 11
    with pytest.raises(VariantUnavailable, match=r"opset 11.*at least 13"):
        canonical_model(WatchedGraph(model, threads=1), {"b": Canonical(size=1)})


def test_a_layer_with_graphs_of_its_own_runs_in_parts_too() -> None:
    """From three rows on it goes the other way, and in calls of one or two rows it never does."""
    branches = [
        helper.make_graph(
            [helper.make_node(operator, ["x"], [operator])],
            f"{operator}-branch",
            [],
            [helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)],
        )
        for operator in ("Relu", "Neg")
    ]
    nodes = [
        helper.make_node("Abs", ["images"], ["x"], "abs"),
        helper.make_node("Shape", ["x"], ["shape"], "shape"),
        helper.make_node("Gather", ["shape", "zero"], ["count"], "count"),
        helper.make_node("Less", ["count", "three"], ["few"], "few"),
        helper.make_node("If", ["few"], ["logits"], "choice", then_branch=branches[0], else_branch=branches[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "branching",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(value), name) for name, value in (("zero", 0), ("three", 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    watched = WatchedGraph(model, threads=1)
    images = np.random.default_rng(0).standard_normal((5, 3, 4), np.float32)
    (layer,) = [name for name, layer in watched.layers.items() if layer.kind == "if"]
    for rules in ({layer: Canonical(size=1)}, {layer: Canonical(size=2, up_to=2)}, {WHOLE: Canonical(size=1)}):
        session = open_session(canonical_model(watched, rules).SerializeToString(), 1)
        for n in (1, 2, 5):
            assert session.run(None, {"images": images[:n]})[0].tobytes() == np.abs(images[:n]).tobytes()
