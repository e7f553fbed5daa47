"""Classifiers that are valid files and take gigabytes, or never end; from some number of images on, if so wanted."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models.ort.small_onnx import classifier


def greedy(path: Path, beyond: int = 0) -> None:
    """A classifier that takes 12 GB for a tensor of ones, for more than ``beyond`` images; 0: whatever its images."""
    model = classifier()
    one = helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])
    _count(model, 3_000_000_000, beyond, "many", shape=(1,))
    _through(
        model,
        helper.make_node("ConstantOfShape", ["many"], ["ones"], value=one),
        helper.make_node("ReduceMax", ["ones"], ["most"], keepdims=0),
        helper.make_node("Mul", ["plain", "most"], ["logits"]),
    )
    onnx.save(model, path)


def endless(path: Path, beyond: int = 0) -> None:
    """A classifier that adds nothing to its logits, 2^62 times for more than ``beyond`` images; else once."""
    model = classifier()
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Abs", ["sum"], ["next"])],
        "body",
        [
            scalar("turn", TensorProto.INT64, []),
            scalar("going", TensorProto.BOOL, []),
            scalar("sum", TensorProto.FLOAT, None),
        ],
        [scalar("goes", TensorProto.BOOL, []), scalar("next", TensorProto.FLOAT, None)],
    )
    _count(model, 2**62, beyond, "turns")
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    _through(model, helper.make_node("Loop", ["turns", "yes", "plain"], ["logits"], body=body))
    onnx.save(model, path)


def _count(model: onnx.ModelProto, count: int, beyond: int, name: str, shape: tuple[int, ...] = ()) -> None:
    """A tensor of this name and shape: ``count``, and 1 for up to ``beyond`` images."""
    numbers = {"count": count, "beyond": beyond, "one": 1, "first": 0}
    given = {key: np.full(shape, number, np.int64) for key, number in numbers.items()}
    if not beyond:
        model.graph.initializer.append(numpy_helper.from_array(given["count"], name))
        return
    model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in given.items())
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["images"], ["sides"]),
            helper.make_node("Gather", ["sides", "first"], ["batch"]),
            helper.make_node("Greater", ["batch", "beyond"], ["wild"]),
            helper.make_node("Where", ["wild", "count", "one"], [name]),
        ]
    )


def _through(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """What were the logits is "plain" now, from which the nodes make the logits."""
    for node in model.graph.node:
        node.output[:] = ["plain" if output == "logits" else output for output in node.output]
    model.graph.node.extend(nodes)
