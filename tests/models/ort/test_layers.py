from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from isobatch.models.ort.layers import cut
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.spec.runner import Layer, Rows
from tests.models.ort.small_onnx import classifier, pixels


def graph(nodes: list[onnx.NodeProto], constants: Mapping[str, NDArray[Any]], sides: list[int]) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, *sides])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def watched(model: onnx.ModelProto) -> WatchedGraph:
    return WatchedGraph(model, threads=1)


def test_nodes_between_rows_are_layers_of_their_own() -> None:
    layers = watched(classifier()).layers
    assert [(layer.name, layer.kind) for layer in layers.values()] == [
        ("a", "conv2d"),
        ("a_act", "relu"),
        ("b", "conv2d"),
        ("b_act", "relu"),
        ("c", "conv2d"),
        ("sum", "add"),
        ("sum_act", "relu"),
        ("pool", "average-pool"),
        ("flat", "flatten"),
        ("fc", "linear"),
    ]
    assert layers["sum"].inputs == ("c", "a_act") and layers["sum"].outputs == ("sum",)
    assert layers["b"].signature == (
        "Conv(pads=[1, 1, 1, 1]) float[8, 8, 3, 3] float[8]"
    )  # without the name: siblings share it


def test_the_scale_of_a_whole_batch_stays_inside_its_layer() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["images"], ["q", "scale", "zero"], "quantize"),
        helper.make_node("ConvInteger", ["q", "w.weight", "zero"], ["sums"], "conv"),
        helper.make_node("Cast", ["sums"], ["float_sums"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float_sums", "scale"], ["scaled"], "scaled"),
        helper.make_node("Relu", ["scaled"], ["logits"], "relu"),
    ]
    layers = watched(graph(nodes, {"w.weight": np.ones((4, 3, 1, 1), np.uint8)}, [8, 8])).layers
    assert list(layers) == ["w", "relu"]
    assert layers["w"].kind == "dynamic-conv2d"
    assert len(layers["w"].nodes) == 4  # the cast stands between two that the scale ties together
    assert layers["w"].inputs == ("images",) and layers["w"].outputs == ("scaled",)


def test_a_batch_axis_that_is_moved_away_stays_inside_its_layer() -> None:
    nodes = [
        helper.make_node("Transpose", ["images"], ["moved"], "there", perm=[1, 0, 2]),
        helper.make_node("Softmax", ["moved"], ["soft"], "soft", axis=-1),
        helper.make_node("Transpose", ["soft"], ["back"], "back", perm=[1, 0, 2]),
        helper.make_node("Relu", ["back"], ["logits"], "relu"),
    ]
    layers = watched(graph(nodes, {}, [5])).layers
    assert [(layer.kind, len(layer.nodes)) for layer in layers.values()] == [("softmax", 3), ("relu", 1)]


def test_arithmetic_on_shapes_is_repeated_and_ties_nothing_together() -> None:
    def flattened(source: str, target: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("Concat", ["rows", "minus_one"], [f"{target}_shape"], axis=0),
            helper.make_node("Reshape", [source, f"{target}_shape"], [target], target),
        ]

    nodes = [
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["rows"]),
        *flattened("images", "flat"),
        helper.make_node("Relu", ["flat"], ["positive"], "relu"),
        *flattened("positive", "logits"),
    ]
    constants = {
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "minus_one": np.array([-1], np.int64),
    }
    net = watched(graph(nodes, constants, [4]))
    assert list(net.layers) == ["flat", "relu", "logits"]
    assert net.layers["logits"].inputs == ("images", "positive")
    images = np.random.default_rng(0).standard_normal((3, 3, 4), np.float32)
    assert (net.watch(images, lambda layer, inputs, outputs: None) == np.maximum(images, 0).reshape(3, 12)).all()


def test_layers_come_behind_what_they_read() -> None:
    nodes = [
        helper.make_node("Relu", ["images"], ["left"], "left"),
        helper.make_node("Sigmoid", ["images"], ["right"], "right"),
        helper.make_node("Add", ["left", "right"], ["sum"], "sum"),
        helper.make_node("Mul", ["sum", "left"], ["logits"], "product"),
    ]
    seen: list[str] = []

    def see(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        seen.append(layer.name)

    watched(graph(nodes, {}, [4])).watch(np.ones((2, 3, 4), np.float32), see)
    assert sorted(seen[:2]) == ["left", "right"] and seen[2:] == ["sum", "product"]


def test_nodes_without_names_or_with_the_same_are_told_apart() -> None:
    nodes = [
        helper.make_node("Relu", ["images"], ["x"]),
        helper.make_node("Relu", ["x"], ["y"], "twice"),
        helper.make_node("Relu", ["y"], ["logits"], "twice"),
    ]
    layers = cut(graph(nodes, {}, [4]), frozenset({"images", "x", "y", "logits"}))
    assert list(layers) == ["x", "twice", "twice:logits"]


@pytest.mark.parametrize("size", [(24, 32), (40, 24)])
def test_the_signature_tells_shapes_of_one_image(size: tuple[int, int]) -> None:
    signatures: dict[int, list[str]] = {}
    graph_ = watched(classifier())
    for count in (1, 3):
        signatures[count] = []
        graph_.watch(pixels(count, size), lambda layer, i, o, n=count: signatures[n].append(layer.signature))  # type: ignore[misc]
    assert signatures[1] == signatures[3]
    assert signatures[1][0].endswith(f"<- float32[3, {size[0]}, {size[1]}]")
