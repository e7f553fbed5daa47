"""Single operations in onnxruntime: one node a model, in float32 and in the integer operators of a quantized graph."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from isobatch.models.operations.table import (
    Drawn,
    Kernel,
    Operation,
    Prepare,
    Rows,
    activation_scale,
    codes,
    weight_codes,
)
from isobatch.models.ort.graph import MICROSOFT, serialized
from isobatch.models.ort.session import open_session

_FLOAT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "conv2d": ("Conv", "x weight bias", {}),
    "linear": ("Gemm", "x weight bias", {"transB": 1}),
    "matmul": ("MatMul", "x by_column", {}),
    "batch-norm": ("BatchNormalization", "x scale shift mean variance", {"epsilon": 1e-5}),
    "relu": ("Relu", "x", {}),
    "add": ("Add", "x x", {}),
    "max-pool": ("MaxPool", "x", {}),
    "average-pool": ("GlobalAveragePool", "x", {}),
    "softmax": ("Softmax", "x", {"axis": 1}),
}
"""By kind of operation the operator, its inputs (``x`` and constants) and its attributes, windows apart."""

_INTEGER: dict[str, tuple[str, str, dict[str, Any]]] = {
    "conv2d": ("QLinearConv", "x step zero weight steps zeros step zero bias", {}),
    "linear": ("QGemm", "x step zero weight steps zeros bias step zero", {"domain": MICROSOFT, "transB": 1}),
    "matmul": ("QLinearMatMul", "x step zero by_column widest no step zero", {}),
    "add": ("QLinearAdd", "x step zero x step zero step zero", {"domain": MICROSOFT}),
    "max-pool": ("MaxPool", "x", {}),
    "average-pool": ("QLinearGlobalAveragePool", "x step zero step zero", {"domain": MICROSOFT, "channels_last": 0}),
    "softmax": ("QLinearSoftmax", "x step zero probability none", {"domain": MICROSOFT, "axis": 1, "opset": 20}),
    "quantize": ("QuantizeLinear", "x step zero", {}),
}
_DYNAMIC = (
    helper.make_node("DynamicQuantizeLinear", ["x"], ["codes", "found", "middle"]),
    helper.make_node("MatMulInteger", ["codes", "by_column", "middle", "no"], ["sums"]),
    helper.make_node("Cast", ["sums"], ["real"], to=TensorProto.FLOAT),
    helper.make_node("Mul", ["found", "widest"], ["unit"]),
    helper.make_node("Mul", ["real", "unit"], ["y"]),
)
"""A linear layer whose activation scale comes with the batch, as the dynamic quantizer writes it."""


def open_ort(arithmetic: str, threads: int) -> AbstractContextManager[Prepare]:
    """Kernels of ``ort-fp32`` or ``ort-int8``."""
    return nullcontext(partial(_float if arithmetic == "ort-fp32" else _integer, threads))


def _float(threads: int, operation: Operation, weights: Drawn) -> Kernel | None:
    if operation.kind not in _FLOAT:
        return None
    constants = {"weight": weights.weight, "bias": weights.bias, "by_column": np.ascontiguousarray(weights.weight.T)}
    constants |= dict(zip(("scale", "shift", "mean", "variance"), weights.per_channel, strict=True))
    return Kernel(_session(threads, [_node(_FLOAT, operation)], constants, TensorProto.FLOAT))


def _integer(threads: int, operation: Operation, weights: Drawn) -> Kernel | None:
    dynamic = operation.kind == "dynamic-linear"
    if operation.kind not in _INTEGER and not dynamic:
        return None
    scale = activation_scale(bits=8)
    values, steps = weight_codes(weights.weight) if operation.outputs else (np.empty(0, np.int8), np.empty(0))
    constants = {
        "step": np.float32(scale.step),
        "zero": np.uint8(scale.zero),
        "weight": values,
        "steps": steps.astype(np.float32),
        "zeros": np.zeros(len(steps), np.int8),
        "bias": np.rint(weights.bias / (steps * scale.step)).astype(np.int32),
        "by_column": np.ascontiguousarray(values.T),
        "widest": np.float32(steps.max(initial=0.0)),
        "no": np.int8(0),
        "probability": np.float32(1 / 256),
        "none": np.uint8(0),
    }
    nodes = [*_DYNAMIC] if dynamic else [_node(_INTEGER, operation)]
    if dynamic or operation.kind == "quantize":
        return Kernel(_session(threads, nodes, constants, TensorProto.FLOAT))
    return Kernel(_session(threads, nodes, constants, TensorProto.UINT8), given=partial(codes, scale=scale))


def _node(table: Mapping[str, tuple[str, str, dict[str, Any]]], operation: Operation) -> NodeProto:
    operator, inputs, attributes = table[operation.kind]
    if operation.kind in ("conv2d", "max-pool"):
        size = {"kernel_shape": [operation.kernel] * 2, "strides": [operation.stride] * 2}
        attributes = attributes | size | {"pads": [operation.kernel // 2] * 4}
    return helper.make_node(operator, inputs.split(), ["y"], **attributes)


def _session(threads: int, nodes: list[NodeProto], constants: Mapping[str, Any], given: int) -> Callable[[Rows], Rows]:
    """What runs these nodes in a session as a user would open it: all optimisations on."""
    x = helper.make_tensor_value_info("x", given, None)
    session = open_session(serialized(nodes, x, ["y"], constants), threads, quiet=True)
    return lambda rows: np.array(session.run(["y"], {"x": rows})[0])
