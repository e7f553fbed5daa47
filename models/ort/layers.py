"""The graph that onnxruntime really runs, cut into layers whose inputs and outputs all have a batch axis."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from isobatch.models.ort.graph import inner_graphs

_OPERATORS = {
    "conv2d": "Conv FusedConv NhwcFusedConv ConvInteger QLinearConv",
    "linear": "Gemm FusedGemm QGemm MatMul FusedMatMul MatMulInteger MatMulIntegerToFloat QLinearMatMul "
    "DynamicQuantizeMatMul",
    "softmax": "Softmax",
    "layer-norm": "LayerNormalization SkipLayerNormalization",
    "batch-norm": "BatchNormalization",
    "average-pool": "ReduceMean GlobalAveragePool QLinearGlobalAveragePool AveragePool",
    "max-pool": "MaxPool NhwcMaxPool",
    "add": "QLinearAdd",
    "quantize": "QuantizeLinear",
    "dequantize": "DequantizeLinear",
}
KINDS = {operator: kind for kind, operators in _OPERATORS.items() for operator in operators.split()}
"""Layer kinds by operator, the telling ones first: a layer of several nodes is named for its first in this order."""

_ROWS_APART = ("Shape", "Size")  # read no element, so what they give is the same whatever the rows hold
_MOVING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")  # values, unchanged
_OWNER = re.compile(r"(?:FusedBack_)?(.+?)\.(?:weight|bias)")


@dataclass(frozen=True)
class GraphLayer:
    """Nodes that are watched, replayed and rewritten as one. All inputs and outputs have the batch axis first."""

    name: str
    kind: str
    signature: str  # the operators, their attributes, and shapes and types of their constants
    # In graph order, with those that only constants or shapes lead to, which other layers may repeat.
    nodes: tuple[NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def cut(model: ModelProto, rows: frozenset[str], shared: frozenset[str] = frozenset()) -> dict[str, GraphLayer]:
    """The layers by name, in an order of execution. ``rows``: the values whose first axis is the batch; ``shared``:
    those whose shape is the same for every number of images.

    A value without batch axis, such as the scale of a whole batch, never leaves its layer: the layers are the strongly
    connected components of the graph in which such a value ties its reader to its writer in both directions. A layer
    with a node that makes a shared value of rows is named for the first such node: it reads across images.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes, repeated = _apart(graph)
    reads = [_read_by(_with_repeated([node], repeated), repeated) for node in nodes]
    writer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    groups = _groups(reads, writer, rows)
    group_of = {index: number for number, group in enumerate(groups) for index in group}
    leaving = {value.name for value in graph.output}
    for index, names in enumerate(reads):
        leaving |= {name for name in names if name in writer and group_of[writer[name]] != group_of[index]}
    layers: dict[str, GraphLayer] = {}
    for group in groups:
        inside = tuple(_with_repeated([nodes[index] for index in group], repeated))
        written = [name for index in group for name in nodes[index].output]
        read = dict.fromkeys(name for index in group for name in reads[index])
        crossing = _crossing([nodes[index] for index in sorted(group)], rows, shared)
        telling = [crossing] if crossing else [nodes[index] for index in group]
        kind = _operator(crossing) if crossing else _kind(telling)
        name = _name(telling if crossing else inside, kind, () if crossing else constants, layers)
        layers[name] = GraphLayer(
            name,
            kind,
            "; ".join(_signature(node, constants) for node in inside),
            inside,
            inputs=tuple(value for value in read if value not in written and value not in constants),
            outputs=tuple(value for value in written if value in leaving),
        )
    return layers


def part(model: ModelProto, layers: Sequence[GraphLayer], types: Mapping[str, int]) -> ModelProto:
    """These consecutive layers as a model of their own: every value that enters or leaves one of them is an output."""
    nodes = list({id(node): node for layer in layers for node in layer.nodes}.values())
    outputs = [name for layer in layers for name in layer.outputs]
    inputs = list(dict.fromkeys(name for layer in layers for name in layer.inputs if name not in outputs))
    read = {name for node in nodes for name in _reads(node)}
    graph = GraphProto(name="part")
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in read)
    graph.input.extend(helper.make_tensor_value_info(name, types[name], None) for name in inputs)
    graph.output.extend(helper.make_tensor_value_info(name, types[name], None) for name in outputs)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _apart(graph: GraphProto) -> tuple[list[NodeProto], dict[str, NodeProto]]:
    """The nodes that compute on rows, and by output those that only constants or shapes lead to."""
    known = {tensor.name for tensor in graph.initializer} | {""}
    nodes, repeated = [], {}
    for node in graph.node:
        if node.op_type in _ROWS_APART or all(name in known or name in repeated for name in _reads(node)):
            repeated.update(dict.fromkeys(node.output, node))
        else:
            nodes.append(node)
    return nodes, repeated


def _groups(reads: list[list[str]], writer: Mapping[str, int], rows: frozenset[str]) -> list[list[int]]:
    """The nodes of each layer, by number; a layer stands behind those it reads from."""
    # here, because a session that nobody looks into need not spend 0.2 s and 26 MB on them
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = [(writer[name], index) for index, names in enumerate(reads) for name in names if name in writer]
    ties = [(i, writer[name]) for i, names in enumerate(reads) for name in names if name in writer and name not in rows]
    both = np.array(edges + ties, np.int64).reshape(-1, 2)
    matrix = coo_array((np.ones(len(both), np.int8), (both[:, 0], both[:, 1])), shape=(len(reads), len(reads)))
    _, component = connected_components(matrix, connection="strong")
    before: dict[int, set[int]] = {int(number): set() for number in component}
    for start, end in edges:
        if component[start] != component[end]:
            before[int(component[end])].add(int(component[start]))
    return [np.flatnonzero(component == number).tolist() for number in TopologicalSorter(before).static_order()]


def _with_repeated(nodes: Iterable[NodeProto], repeated: Mapping[str, NodeProto]) -> list[NodeProto]:
    """These nodes, each behind what has to be repeated for it."""
    copies: dict[int, NodeProto] = {}

    def add(node: NodeProto) -> None:
        if id(node) not in copies:
            for name in _reads(node):
                if name in repeated:
                    add(repeated[name])
            copies[id(node)] = node

    for node in nodes:
        add(node)
    return list(copies.values())


def _read_by(nodes: Iterable[NodeProto], repeated: Mapping[str, NodeProto]) -> list[str]:
    """What these nodes read and none of those that are repeated writes."""
    names = dict.fromkeys(name for node in nodes for name in _reads(node))
    return [name for name in names if name and name not in repeated]


def _reads(node: NodeProto) -> Iterator[str]:
    """The names of all values this node reads, those that its subgraphs take from outside included."""
    yield from node.input
    for graph in inner_graphs(node):
        inner = {value.name for value in (*graph.input, *graph.initializer)}
        inner |= {name for child in graph.node for name in child.output}
        yield from (name for child in graph.node for name in _reads(child) if name not in inner)


def _crossing(nodes: Sequence[NodeProto], rows: frozenset[str], shared: frozenset[str]) -> NodeProto | None:
    """The first of these nodes that reads rows and gives nothing but what all images share."""
    carrying = set(rows)
    for node in nodes:
        if carrying.intersection(_reads(node)):
            if node.op_type in _MOVING:
                carrying.update(node.output)
            elif all(name in shared for name in node.output if name):
                return node
    return None


def _operator(node: NodeProto) -> str:
    """Its operator in the form of a kind: ``reduce-mean``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", node.op_type).lower()


def _kind(nodes: Sequence[NodeProto]) -> str:
    operators = {node.op_type for node in nodes}
    telling = next((kind for operator, kind in KINDS.items() if operator in operators), None)
    kind = telling or _operator(nodes[0])
    return f"dynamic-{kind}" if any(operator.startswith("DynamicQuantize") for operator in operators) else kind


def _name(nodes: Sequence[NodeProto], kind: str, constants: Container[str], taken: Container[str]) -> str:
    """The weights' owners where the graph names them as torch does, else the last node; unique."""
    given = [name for node in nodes for name in node.input if name in constants]
    matches = [match for name in given if (match := _OWNER.match(name))] if kind != "add" else []
    name = "+".join(dict.fromkeys(match[1] for match in matches)) or nodes[-1].name or nodes[-1].output[0]
    return name if name not in taken else f"{name}:{nodes[-1].output[0]}"


def _signature(node: NodeProto, constants: Mapping[str, TensorProto]) -> str:
    values = {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in sorted(node.attribute, key=lambda attribute: attribute.name)
        if attribute.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.TENSOR)
    }
    attributes = ",".join(f"{k}={v.decode() if isinstance(v, bytes) else v}" for k, v in values.items())
    tensors = (constants[name] for name in node.input if name in constants)
    shapes = " ".join(f"{TensorProto.DataType.Name(tensor.data_type).lower()}{[*tensor.dims]}" for tensor in tensors)
    return f"{node.op_type}({attributes}) {shapes}".rstrip()
