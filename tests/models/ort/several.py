"""A small graph of two inputs and two outputs: ids and a mask in; the mean of the embeddings, and its logits, out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

ROWS, LENGTH = 50, 6
_DRAWS = np.random.default_rng(3)


def tokens() -> ModelProto:
    """``ids`` int64 and ``mask`` bool, [n, 6] each, to ``pooled`` [n, 8] and ``logits`` [n, 5]."""
    constants = {
        "table": _DRAWS.standard_normal((ROWS, 8)).astype(np.float32),
        "head": _DRAWS.standard_normal((8, 5)).astype(np.float32),
        "last": np.array([-1], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "one"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", LENGTH]),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, ["n", LENGTH]),
        ],
        [
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", 8]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def given(count: int) -> dict[str, NDArray[np.generic]]:
    """``count`` examples by input."""
    draws = np.random.default_rng(4)
    mask = draws.integers(0, 2, (count, LENGTH)).astype(bool)
    mask[:, 0] = True
    return {"ids": draws.integers(0, ROWS, (count, LENGTH)), "mask": mask}
