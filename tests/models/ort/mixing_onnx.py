"""Small ONNX graphs that mix images, branch on N or draw, each beside a twin that does not; nodes without names too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

SHAPE = ("n", 3, 8, 8)
WIDTH = 3 * 8 * 8


@dataclass(frozen=True)
class Graph:
    """A graph, the layer that is to be named and why."""

    model: onnx.ModelProto
    layer: str
    mechanism: str
    twin: onnx.ModelProto  # what looks alike and is innocent


def graph(nodes: Sequence[NodeProto], constants: dict[str, Any], last: str, named: bool = True) -> onnx.ModelProto:
    """These nodes between a Relu, which gives ``x``, and a flattening of ``last``."""
    every = [node("Relu", ["images"], "x"), *nodes, node("Flatten", [last], "scores")]
    for one in every:
        one.name = one.name if named else ""
    made = helper.make_graph(
        every,
        "mixing",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "width"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, [output], output, **attributes)


def square_mean(axes: list[int] | None, named: bool = True) -> onnx.ModelProto:
    reduced = {} if axes is None else {"axes": axes}
    nodes = [
        node("Mul", ["x", "x"], "square"),
        node("ReduceMean", ["square"], "meansq", keepdims=1, **reduced),
        node("Add", ["meansq", "one"], "more"),
        node("Div", ["x", "more"], "scaled"),
    ]
    return graph(nodes, {"one": np.float32(1)}, "scaled", named)


def first_image(axis: int) -> onnx.ModelProto:
    nodes = [node("Gather", ["x", "zero"], "first", axis=axis), node("Sub", ["x", "first"], "rest")]
    return graph(nodes, {"zero": np.array([0] if axis else 0, np.int64)}, "rest")


def branching(operators: tuple[str, str]) -> onnx.ModelProto:
    """From seven images on the second operator."""
    branches = [
        helper.make_graph(
            [helper.make_node(operator, ["x"], [f"{operator}_{place}"])],
            f"branch{place}",
            [],
            [helper.make_tensor_value_info(f"{operator}_{place}", TensorProto.FLOAT, None)],
        )
        for place, operator in enumerate(operators)
    ]
    nodes = [
        node("Shape", ["x"], "shape"),
        node("Gather", ["shape", "zero"], "count"),
        node("Less", ["count", "seven"], "few"),
        node("If", ["few"], "chosen", then_branch=branches[0], else_branch=branches[1]),
    ]
    return graph(nodes, {"zero": np.int64(0), "seven": np.int64(7)}, "chosen")


def noisy(scale: float) -> onnx.ModelProto:
    nodes = [
        node("RandomNormalLike", ["x"], "noise", scale=1.0),
        node("Mul", ["noise", "scale"], "small"),
        node("Add", ["x", "small"], "sum"),
    ]
    return graph(
        nodes if scale else nodes[2:],
        {"scale": np.float32(scale), "small": np.float32(0)} if not scale else {"scale": np.float32(scale)},
        "sum",
    )


def sequence(axis: int) -> onnx.ModelProto:
    """An LSTM over this axis of [n, 3, 64] as time."""
    draws = np.random.default_rng(3)
    constants = {
        "shape": np.array([0, 3, 64], np.int64),
        "W": draws.standard_normal((1, 16, 64), np.float32),
        "R": draws.standard_normal((1, 16, 4), np.float32),
        "axis": np.array([1], np.int64),
    }
    turned = [node("Reshape", ["x", "shape"], "rows")]
    given, last = "rows", "Y"
    if axis:
        turned.append(node("Transpose", ["rows"], "steps", perm=[1, 0, 2]))
        given, last = "steps", "back"
    nodes = [*turned, node("LSTM", [given, "W", "R"], "Y", hidden_size=4)]
    if axis:
        nodes.append(node("Transpose", ["Y"], "back", perm=[2, 0, 1, 3]))
    return graph(nodes, constants, last)


GRAPHS = {
    "mean square": Graph(square_mean(None), "meansq", "neighbour-leak", square_mean([1, 2, 3])),
    "mean square without names": Graph(
        square_mean(None, False), "meansq", "neighbour-leak", square_mean([1, 2, 3], False)
    ),
    "mean of a position": Graph(square_mean([0]), "meansq", "neighbour-leak", square_mean([1])),
    "first image": Graph(first_image(0), "first", "neighbour-leak", first_image(1)),
    "time": Graph(sequence(0), "Y", "neighbour-leak", sequence(1)),
    "branch": Graph(branching(("Relu", "Sqrt")), "chosen", "different-branch", branching(("Relu", "Abs"))),
    "noise": Graph(noisy(0.5), "noise", "not-repeatable", noisy(0.0)),
}
