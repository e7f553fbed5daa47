"""Single operations in onnxruntime: one node a model, in float32 and in the integer operators of a quantized graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from isobatch.models.operations.table import Drawn, Kernel, Operation, Prepare, activation_scale, codes, weight_codes
from isobatch.models.ort.graph import MICROSOFT, serialized
from isobatch.models.ort.session import open_session

_EPSILON = 1e-5
Constants = dict[str, NDArray[np.generic]]


@contextmanager
def open_ort(arithmetic: str, threads: int) -> Iterator[Prepare]:
    """Kernels of ``ort-fp32`` or ``ort-int8``."""
    yield partial(_float if arithmetic == "ort-fp32" else _integer, threads)


def _float(threads: int, operation: Operation, weights: Drawn) -> Kernel | None:
    nodes = _float_nodes(operation)
    if nodes is None:
        return None
    constants: Constants = {
        "weight": weights.weight,
        "bias": weights.bias,
        "scale": weights.scale,
        "shift": weights.shift,
        "mean": weights.mean,
        "variance": weights.variance,
        "by_column": np.ascontiguousarray(weights.weight.T),
    }
    return _kernel(threads, nodes, constants, TensorProto.FLOAT)


def _float_nodes(operation: Operation) -> list[NodeProto] | None:
    node = partial(helper.make_node, outputs=["y"])
    match operation.kind:
        case "conv2d":
            return [node("Conv", ["x", "weight", "bias"], **_window(operation))]
        case "linear":
            return [node("Gemm", ["x", "weight", "bias"], transB=1)]
        case "matmul":
            return [node("MatMul", ["x", "by_column"])]
        case "batch-norm":
            return [node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], epsilon=_EPSILON)]
        case "relu":
            return [node("Relu", ["x"])]
        case "add":
            return [node("Add", ["x", "x"])]
        case "max-pool":
            return [node("MaxPool", ["x"], **_window(operation))]
        case "average-pool":
            return [node("GlobalAveragePool", ["x"])]
        case "softmax":
            return [node("Softmax", ["x"], axis=1)]
    return None


def _integer(threads: int, operation: Operation, weights: Drawn) -> Kernel | None:
    scale = activation_scale(bits=8)
    values, steps = weight_codes(weights.weight) if operation.outputs else (np.empty(0, np.int8), np.empty(0))
    widest = np.float32(steps.max(initial=0.0))
    step = np.float32(scale.step)
    constants: Constants = {
        "step": np.asarray(step),
        "zero": np.asarray(scale.zero, np.uint8),
        "weight": values,
        "steps": steps.astype(np.float32),
        "zeros": np.zeros(len(steps), np.int8),
        "bias": np.rint(weights.bias / (steps * scale.step)).astype(np.int32) if len(steps) else np.empty(0, np.int32),
        "by_column": np.ascontiguousarray(values.T),
        "widest": np.asarray(widest),
        "no": np.asarray(0, np.int8),
        "probability": np.asarray(1 / 256, np.float32),
        "none": np.asarray(0, np.uint8),
    }
    nodes = _integer_nodes(operation)
    if nodes is None:
        return None
    if operation.kind in ("quantize", "dynamic-linear"):
        return _kernel(threads, nodes, constants, TensorProto.FLOAT)
    quantized = _kernel(threads, nodes, constants, TensorProto.UINT8)
    return Kernel(quantized.run, given=partial(codes, scale=scale))


def _integer_nodes(operation: Operation) -> list[NodeProto] | None:
    node = partial(helper.make_node, outputs=["y"])
    activation = ["x", "step", "zero"]
    match operation.kind:
        case "conv2d":
            inputs = [*activation, "weight", "steps", "zeros", "step", "zero", "bias"]
            return [node("QLinearConv", inputs, **_window(operation))]
        case "linear":
            inputs = [*activation, "weight", "steps", "zeros", "bias", "step", "zero"]
            return [node("QGemm", inputs, domain=MICROSOFT, transB=1)]
        case "matmul":
            return [node("QLinearMatMul", [*activation, "by_column", "widest", "no", "step", "zero"])]
        case "add":
            return [node("QLinearAdd", [*activation, *activation, "step", "zero"], domain=MICROSOFT)]
        case "max-pool":
            return [node("MaxPool", ["x"], **_window(operation))]
        case "average-pool":
            inputs = [*activation, "step", "zero"]
            return [node("QLinearGlobalAveragePool", inputs, domain=MICROSOFT, channels_last=0)]
        case "softmax":
            inputs = [*activation, "probability", "none"]
            return [node("QLinearSoftmax", inputs, domain=MICROSOFT, axis=1, opset=20)]
        case "quantize":
            return [node("QuantizeLinear", activation)]
        case "dynamic-linear":
            make = helper.make_node
            return [
                make("DynamicQuantizeLinear", ["x"], ["codes", "found", "middle"]),
                make("MatMulInteger", ["codes", "by_column", "middle", "no"], ["sums"]),
                make("Cast", ["sums"], ["real"], to=TensorProto.FLOAT),
                make("Mul", ["found", "widest"], ["unit"]),
                make("Mul", ["real", "unit"], ["y"]),
            ]
    return None


def _window(operation: Operation) -> dict[str, list[int]]:
    size = {"kernel_shape": [operation.kernel] * 2, "strides": [operation.stride] * 2}
    return size | {"pads": [operation.kernel // 2] * 4}


def _kernel(threads: int, nodes: list[NodeProto], constants: Constants, given: int) -> Kernel:
    """A session as a user would open it: all optimisations on."""
    x = helper.make_tensor_value_info("x", given, None)
    session = open_session(serialized(nodes, x, ["y"], constants), threads, quiet=True)
    return Kernel(lambda rows: np.array(session.run(["y"], {"x": rows})[0]))
