"""Interventions at layers of an onnxruntime graph: other operands, float64, one thread, and what it says it runs."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.spec.interventions import Products
from isobatch.models.spec.runner import Rows

_CONVOLUTIONS = ("Conv", "FusedConv")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_WIDE = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


class ExaminedGraphRunner:
    """What a runner of a watched graph offers to the interventions of ``isobatch.pipeline.explain.causes``."""

    @property
    @abstractmethod
    def _watched(self) -> WatchedGraph: ...

    def products(self, layer: str) -> Products | None:
        """The operands of a float Conv, Gemm or MatMul with constant weights; None for any other layer.

        None also for convolutions in onnxruntime's own blocked layout (NCHWc), whose weights are stored in blocks, and
        for fused ones that add a second input.
        """
        part = self._watched.alone(layer)
        if len(part.graph.node) != 1 or len(part.graph.input) != 1:
            return None
        (node,) = part.graph.node
        constants = {t.name: numpy_helper.to_array(t) for t in part.graph.initializer if t.data_type in _FLOATS}
        given = [constants.get(name) for name in node.input[1:3]]
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if not given or given[0] is None or len(node.input) > 3 or (len(node.input) == 3 and given[1] is None):
            return None
        weight, bias = given[0], given[1] if len(given) > 1 else None
        if node.domain not in ("", "com.microsoft") or attributes.get("activation", b"Relu") != b"Relu":
            return None
        rectified = "activation" in attributes
        if node.op_type in _CONVOLUTIONS and weight.ndim == 4:
            return _convolution(weight, bias, attributes, rectified)
        plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA", 0)
        if node.op_type not in ("Gemm", "MatMul") or weight.ndim != 2 or not plain:
            return None
        if bias is not None and bias.shape != (weight.shape[0 if attributes.get("transB", 0) else 1],):
            return None
        return Products(weight if attributes.get("transB", 0) else weight.T, bias)

    def with_operands(self, layer: str, inputs: Rows, weight: NDArray[Any], bias: NDArray[Any] | None) -> Rows:
        """``replay`` with another weight and bias. Raises NotImplementedError for a layer without ``products``."""
        known = self.products(layer)
        if known is None:
            raise NotImplementedError(f"{layer!r} has no weight that could be replaced")
        (node,) = self._watched.layers[layer].nodes
        if _is_transposed(node):
            weight = np.ascontiguousarray(weight.T)
        given = [weight] if bias is None else [weight, bias]
        return self._watched.replay_with(layer, inputs, dict(zip(node.input[1:], given, strict=False)))

    def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
        """This layer by onnx's reference implementation in a wider type, its constants and inputs converted.

        Raises NotImplementedError for layers of integers, and of operators that the reference does not know.
        """
        from onnx.reference import ReferenceEvaluator  # takes 0.3 s, and few runs need it

        if any(part.dtype.kind in "iu" for part in inputs):
            raise NotImplementedError(f"{layer!r} works on integers")
        wide, kept = np.dtype(kind), self._watched.layers[layer]
        try:
            evaluator = ReferenceEvaluator(_wider(self._watched.alone(layer), _WIDE[kind]))
            feed = {name: part.astype(wide) for name, part in zip(kept.inputs, inputs, strict=True)}
            return tuple(evaluator.run(list(kept.outputs), feed))
        except (RuntimeError, TypeError, ValueError) as error:
            raise NotImplementedError(f"onnx's reference implementation does not run {layer!r}: {error}") from error

    def kernels(self, layer: str, inputs: Rows) -> tuple[str, ...]:
        """The operators of the optimised graph, which are the same for every N: onnxruntime logs nothing below them."""
        return tuple(f"onnxruntime {_domain(node)}{node.op_type}" for node in self._watched.layers[layer].nodes)

    def other_calls(self, layer: str, inputs: Rows) -> str:
        """Which conditions of this layer's If and Loop nodes are others for all of these rows than for the first."""
        control = [node for node in self._watched.layers[layer].nodes if node.op_type in ("If", "Loop")]
        written = {name for node in self._watched.layers[layer].nodes for name in node.output}
        conditions = {node.input[0]: node for node in control if node.input[0] in written}
        if not conditions:
            return ""
        first = tuple(part[:1] if part.ndim and len(part) == len(inputs[0]) else part for part in inputs)
        single, many = (self._watched.values(layer, rows, tuple(conditions)) for rows in (first, inputs))
        for name, node in conditions.items():
            if single[name].tobytes() != many[name].tobytes():
                return (
                    f"where {name} is {single[name].ravel()[:1]} for one image it is {many[name].ravel()[:1]} for "
                    f"{len(inputs[0])}: {node.op_type} {node.name or node.output[0]} goes another way"
                )
        return ""

    def one_thread(self) -> AbstractContextManager[None]:
        """Sessions of single layers have one thread until the end of the block."""
        return self._watched.threads(1)


def _convolution(
    weight: NDArray[Any], bias: NDArray[Any] | None, attributes: dict[str, Any], rectified: bool
) -> Products | None:
    pads = attributes.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:] or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    return Products(
        weight,
        bias,
        tuple(attributes.get("strides", (1, 1))),
        tuple(pads[:2]),
        tuple(attributes.get("dilations", (1, 1))),
        attributes.get("group", 1),
        rectified,
    )


def _is_transposed(node: NodeProto) -> bool:
    """Whether the node stores its weight as [inputs, outputs]."""
    by_rows = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return node.op_type not in _CONVOLUTIONS and not by_rows


def _domain(node: NodeProto) -> str:
    return f"{node.domain}." if node.domain else ""


def _wider(model: ModelProto, kind: int) -> ModelProto:
    """The model with its floats in this type, and fused activations as nodes of their own."""
    for tensor in model.graph.initializer:
        if tensor.data_type in _FLOATS:
            values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(kind))
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type in _FLOATS:
            value.type.tensor_type.elem_type = kind
    nodes = [plain for node in model.graph.node for plain in _unfused(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _unfused(node: NodeProto) -> Iterator[NodeProto]:
    if node.domain not in ("", "ai.onnx") and node.op_type != "FusedConv":
        raise TypeError(f"{_domain(node)}{node.op_type} is onnxruntime's own")
    if node.op_type != "FusedConv":
        yield node
        return
    kept = {a.name: helper.get_attribute_value(a) for a in node.attribute if not a.name.startswith("activation")}
    sums = [f"{node.output[0]}/sum"]
    yield helper.make_node("Conv", node.input[:3], sums, **kept)
    if len(node.input) > 3:
        sums.append(f"{node.output[0]}/added")
        yield helper.make_node("Add", [sums[0], node.input[3]], sums[1:])
    activation = next((a.s.decode() for a in node.attribute if a.name == "activation"), "Identity")
    yield helper.make_node(activation, sums[-1:], node.output)
