"""Dynamically quantized ONNX graphs in which every sample gets the activation scale that it would get alone.

Where an activation cannot be negative its zero point is 0, and only its scale depends on the values: the largest of
each sample is taken for that sample, and the integer convolution or matrix product runs on the whole batch as before.
Elsewhere the zero points of samples differ, which the integer operators do not take: there a Scan runs image by image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from isobatch.models.ort.canonical import canonical_model, node_of
from isobatch.models.ort.layers import GraphLayer
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.spec.runner import Canonical
from isobatch.models.spec.words import VariantUnavailable

DYNAMIC = "DynamicQuantizeLinear"
_INTEGER = ("ConvInteger", "MatMulInteger")
_STEPS = 255.0
_AXES_AS_INPUT = 18  # the opset from which on ReduceMax takes its axes as an input
_NOT_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs")
_KEEPS_SIGN = (  # not negative if no input is
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "ReduceSum", "Add",
    "Mul", "Sum", "Max", "Concat", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout",
)  # fmt: skip
_SHAPED = ("Reshape", "Squeeze", "Unsqueeze", "ReduceMean", "ReduceMax", "ReduceSum")  # their second input is no value


def per_sample_scales(model: ModelProto) -> ModelProto:
    """The graph with scales of each sample; its singles are, bit by bit, those of the graph given.

    ``model`` as a user has it, before any optimisation: what comes back is as portable, and is opened in the same way.
    Raises VariantUnavailable where nothing is quantized dynamically, or as ``canonical_model``.
    """
    graph = WatchedGraph(model, threads=1)
    dynamic = {name: layer for name, layer in graph.layers.items() if layer.kind.startswith("dynamic-")}
    if not dynamic:
        raise VariantUnavailable("nothing in this graph is quantized dynamically", "choose another repair")
    known = _Known.of(graph.model)
    scaled = {name: layer_scales for name, layer in dynamic.items() if (layer_scales := _scaled(layer, known))}
    apart = {name: Canonical(size=1) for name in dynamic if name not in scaled}
    return _rewritten(canonical_model(graph, apart), scaled.values())


@dataclass(frozen=True)
class _Known:
    """What a graph's constants hold, and which node writes and which nodes read a value."""

    constants: Mapping[str, TensorProto]
    writer: Mapping[str, NodeProto]
    readers: Mapping[str, list[NodeProto]]

    @classmethod
    def of(cls, model: ModelProto) -> _Known:
        readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in dict.fromkeys(node.input):
                readers.setdefault(name, []).append(node)
        writer = {name: node for node in model.graph.node for name in node.output}
        return cls({tensor.name: tensor for tensor in model.graph.initializer}, writer, readers)

    def not_negative(self, name: str) -> bool:
        """Whether no value of this name can be below 0, whatever the images hold."""
        if (constant := self.constants.get(name)) is not None:
            return bool((numpy_helper.to_array(constant) >= 0).all())
        if (node := self.writer.get(name)) is None:
            return False
        if node.op_type == "Clip":
            least = self.constants.get(node.input[1]) if len(node.input) > 1 else None
            return least is not None and bool(numpy_helper.to_array(least) >= 0)
        if node.op_type in _KEEPS_SIGN:
            return all(map(self.not_negative, node.input[:1] if node.op_type in _SHAPED else node.input))
        return node.op_type in _NOT_NEGATIVE

    def single(self, name: str) -> bool:
        """Whether this is a constant of one element."""
        return name in self.constants and all(side == 1 for side in self.constants[name].dims)


_Scaled = tuple[NodeProto, dict[str, tuple[str, str]]]
"""What of a layer is given scales by sample: its quantization, and by its output each product of integer sums, as
floats, with the scales.
"""


def _scaled(layer: GraphLayer, known: _Known) -> _Scaled | None:
    """None where the layer is not of the form that quantizers write, or its input may be negative."""
    quantizes = [node for node in layer.nodes if node.op_type == DYNAMIC]
    if len(quantizes) != 1 or not known.not_negative(quantizes[0].input[0]):
        return None
    codes, scale, zero_point = quantizes[0].output
    integer = known.readers.get(codes, [])
    if not all(
        node.op_type in _INTEGER and node.input[0] == codes and node.input[2:3] == [zero_point] for node in integer
    ):
        return None
    if known.readers.get(zero_point, []) != integer:
        return None
    sums = {node.output[0] for node in integer}
    products = {}
    for factor in known.readers.get(scale, []):  # with the weight's scale
        if factor.op_type != "Mul" or not any(known.single(name) for name in factor.input):
            return None
        for product in known.readers.get(factor.output[0], []):
            others = [name for name in product.input if name != factor.output[0]]
            cast = known.writer.get(others[0]) if len(others) == 1 else None
            if product.op_type != "Mul" or cast is None or cast.op_type != "Cast" or cast.input[0] not in sums:
                return None
            products[product.output[0]] = others[0], factor.output[0]
    return (quantizes[0], products) if len(products) == len(integer) else None


def _rewritten(model: ModelProto, layers: Collection[_Scaled]) -> ModelProto:
    quantizes = [quantize for quantize, _ in layers]
    scaled = {quantize.output[0] for quantize in quantizes}
    products = {into: factors for _, them in layers for into, factors in them.items()}
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        into = next(iter(node.output), "")
        if into in scaled:
            nodes += _quantized(node, opset)
        elif into in products:
            nodes += _multiplied(into, *products[into])
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(_constants(quantizes))
    return model


def _quantized(node: NodeProto, opset: int) -> Iterator[NodeProto]:
    """DynamicQuantizeLinear as the operator's specification has it for values of at least 0, for each sample.

    The scale is [n] where it was one number; a sample of zeros has the scale 1, as the native kernel gives it.
    """
    (values,), (codes, scale, _) = node.input, node.output
    flat, most, none = f"{codes}/flat", f"{codes}/most", f"{codes}/none"
    yield node_of("Flatten", [values], flat, axis=1)
    if opset >= _AXES_AS_INPUT:
        yield node_of("ReduceMax", [flat, "per-sample/1"], most, keepdims=0)
    else:
        yield node_of("ReduceMax", [flat], most, axes=[1], keepdims=0)
    yield node_of("Equal", [most, "per-sample/0"], none)
    yield node_of("Div", [most, "per-sample/steps"], f"{codes}/steps")
    yield node_of("Where", [none, "per-sample/one", f"{codes}/steps"], scale)
    yield node_of("QuantizeLinear", [values, scale], codes, axis=0)


def _multiplied(into: str, sums: str, factor: str) -> Iterator[NodeProto]:
    """Each sample's sums by its factor. As rows, whatever their rank: that also keeps onnxruntime from fusing a matrix
    product with its scale and bias, which it does for a scale of one number, and wrongly for one of each row.
    """
    yield node_of("Flatten", [sums], f"{into}/rows", axis=1)
    yield node_of("Unsqueeze", [factor, "per-sample/1"], f"{into}/column")
    yield node_of("Mul", [f"{into}/rows", f"{into}/column"], f"{into}/products")
    yield node_of("Shape", [sums], f"{into}/shape")
    yield node_of("Reshape", [f"{into}/products", f"{into}/shape"], into)


def _constants(quantizes: Sequence[NodeProto]) -> Iterator[TensorProto]:
    if not quantizes:
        return
    values = {"0": np.float32(0), "one": np.float32(1), "steps": np.float32(_STEPS), "1": np.array([1], np.int64)}
    yield from (numpy_helper.from_array(np.asarray(value), f"per-sample/{name}") for name, value in values.items())
    yield from (numpy_helper.from_array(np.asarray(np.uint8(0)), node.output[2]) for node in quantizes)
