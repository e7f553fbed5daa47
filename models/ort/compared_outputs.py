"""Which outputs of a user's graph are compared: arrays of numbers that its inputs can change."""

from collections.abc import Collection
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from isobatch.models.ort.external_data import OnnxError, find_messages
from isobatch.models.ort.graph import rename
from isobatch.models.ort.training_nodes import DRAWING

NUMBERS = ("FLOAT", "FLOAT16", "DOUBLE", "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64",
           "BOOL")  # fmt: skip
"""The types of arrays that are fed and compared, by ONNX's names."""

_KINDS = {
    "sequence_type": "a sequence",
    "map_type": "a map",
    "optional_type": "optional",
    "sparse_tensor_type": "sparse",
}


def keep_comparable(model: ModelProto, path: Path) -> tuple[str, ...]:
    """Leave in the graph the outputs that can be compared; what was changed for that, in words.

    The maps of a ZipMap give way to the array that they are made of, bfloat16 becomes float32, which holds it exactly.
    Other outputs that are no arrays of numbers, or that no input can change, are left out. Raises OnnxError where none
    is left.
    """
    same = _same_for_all(model)
    notes = [*_unzipped(model), *_widened(model, same)]
    left_out = {
        value.name: why
        for value in model.graph.output
        if (why := "the same for all inputs" if value.name in same else _kind(value))
    }
    for name, why in left_out.items():
        if len(left_out) == len(model.graph.output):
            raise OnnxError(
                f"{path}: its output {name!r} is {why}; arrays of numbers that the inputs change are compared: export "
                "the network with such an array, the one that this output is made of, as an output"
            )
        notes.append(f"its output {name!r} is {why}: it is left out")
    kept = [value for value in model.graph.output if value.name not in left_out]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    if left_out:
        _drop_dead(model.graph)
    return tuple(notes)


def _drop_dead(graph: GraphProto) -> None:
    """Take out nodes and stored tensors that no output needs: what only makes sequences cannot be looked into."""
    needed = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if not needed.intersection(node.output):
            graph.node.remove(node)
            continue
        needed |= {name for inner in find_messages(node, NodeProto) for name in inner.input} | {*node.input}
        needed |= {value.name for value in find_messages(node, ValueInfoProto)}  # what an inner graph hands on
    needed |= {value.name for value in graph.input}  # older files list their weights there
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in needed]:
        graph.initializer.remove(tensor)


def _unzipped(model: ModelProto) -> list[str]:
    graph, notes = model.graph, []
    known = {value.name for value in graph.output}
    for node in [node for node in graph.node if node.op_type == "ZipMap" and node.domain == "ai.onnx.ml"]:
        for value in graph.output:
            if value.name != node.output[0] or node.input[0] in known:
                continue
            notes.append(
                f"its output {value.name!r} is a list of maps (ZipMap): the array {node.input[0]!r} that they are made "
                "of is compared in its place"
            )
            value.CopyFrom(ValueInfoProto(name=node.input[0]))
            value.type.tensor_type.elem_type = TensorProto.FLOAT
            graph.node.remove(node)
            known.add(node.input[0])
            break
    return notes


def _widened(model: ModelProto, left_out: Collection[str]) -> list[str]:
    notes = []
    for value in model.graph.output:
        if value.type.tensor_type.elem_type != TensorProto.BFLOAT16 or value.name in left_out:
            continue
        own = f"{value.name}/bfloat16"
        rename(model.graph.node, {value.name: own})
        model.graph.node.append(helper.make_node("Cast", [own], [value.name], f"{own}/Cast", to=TensorProto.FLOAT))
        value.type.tensor_type.elem_type = TensorProto.FLOAT
        notes.append(f"its output {value.name!r} is bfloat16, which is handed over as float32: that holds it exactly")
    return notes


def _kind(value: ValueInfoProto) -> str:
    """What an output is that is no array of numbers; "" of one that is."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return f"{_KINDS.get(str(kind), 'of unknown type')}, not an array"
    name = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    return "" if name in NUMBERS else f"of type {name}"


def _same_for_all(model: ModelProto) -> set[str]:
    """The names of what is computed from stored tensors alone, and not drawn."""
    same = {"", *(tensor.name for tensor in model.graph.initializer)} - {value.name for value in model.graph.input}
    for node in model.graph.node:  # in the order of computation
        control_flow = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if same.issuperset(node.input) and node.op_type not in DRAWING and not control_flow:
            same |= {*node.output}
    return same
