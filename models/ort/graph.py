"""What the weight layers of an ONNX graph hold and compute in, and the graph that really runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from isobatch.models.ort.session import open_session
from isobatch.models.shared.scratch import Scratch

MICROSOFT = "com.microsoft"
"""The domain of onnxruntime's own operators."""

_TYPES = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "fp64",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
}
_PASSES_ON = {"Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten"}
_LAYER_WORDS = ("Conv", "Gemm", "MatMul")  # as in NhwcFusedConv, QGemm, DynamicQuantizeMatMul


@dataclass(frozen=True)
class WeightLayer:
    """A convolution or matrix product with a stored weight: the type it is stored in, and the one computed in."""

    name: str
    stored: str
    computed: str


def weight_layers(model: ModelProto) -> list[WeightLayer]:
    """The weight layers in graph order; of an optimised graph, ``computed`` is what its kernels really do.

    A weight that passes through DequantizeLinear or Cast is computed in the type that comes out.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    layers = []
    for node in model.graph.node:
        if not any(word in node.op_type for word in _LAYER_WORDS):
            continue
        for name in node.input:
            path = list(_to_source(name, producers))
            source = tensors.get(path[-1])
            if source is not None and len(source.dims) >= 2:
                computed = next(
                    (kind for step in path if (kind := _written_type(step, tensors, producers))), source.data_type
                )
                layers.append(WeightLayer(node.name, _name_of(source.data_type), _name_of(computed)))
                break
    return layers


def quantized_nodes(model: ModelProto) -> int:
    """How many nodes quantize, or compute in integers: a float graph has none."""
    words = ("QuantizeLinear", "QLinear", "ConvInteger", "MatMulInteger", "QGemm")
    return sum(any(word in node.op_type for word in words) for node in model.graph.node)


def optimised_graph(path: Path, threads: int) -> ModelProto:
    """The graph that onnxruntime really runs here, weights included: fused, laid out and cast for this machine.

    The same bytes each time: nodes that put blocked layouts back in order are named for what they give, because
    onnxruntime numbers them in another order each time.
    """
    with Scratch() as scratch:
        saved = scratch.path / "optimised.onnx"
        open_session(path, threads, save_to=saved, quiet=True)
        model = onnx.load_model(saved)
    for node in model.graph.node:
        if node.op_type == "ReorderOutput":
            node.name = f"{node.output[0]}/ReorderOutput"
    return model


def serialized(
    nodes: Sequence[NodeProto], given: ValueInfoProto, outputs: Sequence[str], constants: Mapping[str, Any]
) -> bytes:
    """A small model of these nodes, from one input to the named outputs; ``constants``: by name, unread ones left out.

    In ONNX's operators of opset 20 and onnxruntime's own.
    """
    read = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items() if name in read]
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph(list(nodes), "graph", [given], made, tensors)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return data


def stored_tensors(model: ModelProto, nodes: Iterable[NodeProto]) -> dict[str, TensorProto]:
    """By name the stored tensors, and those that Constant nodes among these give."""
    constants = (node for node in nodes if node.op_type == "Constant")
    given = {node.output[0]: part.t for node in constants for part in node.attribute if part.name == "value"}
    return {tensor.name: tensor for tensor in model.graph.initializer} | given


def inner_graphs(node: NodeProto) -> Sequence[GraphProto]:
    """The graphs that a node of control flow holds; empty ones for other attributes."""
    return [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]


def rename(nodes: Iterable[NodeProto], new: Mapping[str, str]) -> None:
    """Let these nodes, and those in the graphs that they hold, read and write values under their new names."""
    for node in nodes:
        for names in (node.input, node.output):
            names[:] = [new.get(name, name) for name in names]
        for graph in inner_graphs(node):
            rename(graph.node, new)
            for value in graph.output:
                value.name = new.get(value.name, value.name)


def _to_source(name: str, producers: dict[str, NodeProto]) -> Iterator[str]:
    """The tensor and those it was made from, one by one, as long as each is only its source in another form."""
    yield name
    while (node := producers.get(name)) and node.op_type in _PASSES_ON | {"DequantizeLinear", "Cast"}:
        name = node.input[0]
        yield name


def _written_type(name: str, tensors: dict[str, TensorProto], producers: dict[str, NodeProto]) -> int | None:
    """The type of this tensor where its own producer tells it."""
    node = producers.get(name)
    if node is None:
        return None
    if node.op_type == "Cast":
        return int(next(attribute.i for attribute in node.attribute if attribute.name == "to"))
    if node.op_type == "DequantizeLinear":
        scale = tensors.get(node.input[1])
        return int(TensorProto.FLOAT if scale is None else scale.data_type)
    return None


def _name_of(data_type: int) -> str:
    return _TYPES.get(data_type) or TensorProto.DataType.Name(data_type).lower()
