"""What an ONNX graph takes and gives, and its batch axis freed where an exporter wrote a number there."""

import copy
import shlex
from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto, helper, numpy_helper

from isobatch.models.ort.graph import stored_tensors
from isobatch.models.spec.interface import Input

_RECURRENT = ("LSTM", "GRU", "RNN")


def real_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The graph's inputs that are no stored weights: files of IR version 3 list those too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def inputs_of(model: ModelProto) -> list[Input]:
    """Every real input, its first axis (the batch) left out."""
    return [_input(model, value) for value in real_inputs(model)]


def _input(model: ModelProto, value: ValueInfoProto) -> Input:
    tensor = value.type.tensor_type
    axes = tuple(axis.dim_value if axis.dim_value > 0 else None for axis in tensor.shape.dim)
    kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return Input(value.name, kind, axes[1:], _table_rows(model, value.name) if kind in ("int32", "int64") else None)


def _table_rows(model: ModelProto, name: str) -> int | None:
    """Of an input of numbers that look up rows: the length of the shortest table; None where none is seen."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    names, rows = {name}, []
    for node in model.graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in names:
            names.add(node.output[0])
        if node.op_type == "Gather" and node.input[0] in stored and node.input[1] in names:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            rows.append(stored[node.input[0]].dims[axis])
    return min(rows, default=None)


def without_rows(model: ModelProto, name: str) -> str:
    """What to do about the output ``name`` of this graph that has no row an image."""
    others = [value.name for value in model.graph.output if value.name != name]
    inputs = [value.name for value in real_inputs(model)]
    leave_out = f", or leave it out: onnx.utils.extract_model(FILE, NEW_FILE, {inputs}, {others})" if others else ""
    few = any(value.name == name and value.type.tensor_type.HasField("shape") and len(_axes(value.type)) < 2
              for value in model.graph.output)  # fmt: skip
    axes = where_names_say(model) or where_axes_lead(model) or ("" if few else "NAME=1")
    where = f", or say where that is with --batch-axis {axes}" if axes else ""
    return f"export it with the batch on its first axis{where}{leave_out}"


def where_names_say(model: ModelProto) -> str:
    """``x=1,y=1``: where the names of axes say that the batch is, in arrays that do not have it first; else empty.

    It has the one name that all arrays share, else that of an input's first axis, else of an output's.
    """
    if agreed := where_names_agree(model):
        return agreed
    inputs = {value.name: [axis.dim_param for axis in _axes(value.type)] for value in real_inputs(model)}
    outputs = {value.name: [axis.dim_param for axis in _axes(value.type)] for value in model.graph.output}
    for those in (inputs, outputs):
        batch = {names[0] for names in those.values() if names and names[0]}
        elsewhere = {
            array: next((place for place, name in enumerate(names) if name in batch), 0)
            for array, names in (inputs | outputs).items()
        }
        if any(elsewhere.values()):
            return _listed(elsewhere)
    return ""


def where_axes_lead(model: ModelProto) -> str:
    """``x=1,y=1``: where the only free axis of the inputs that every output has stands, as onnx's shape inference
    carries it there; else empty. For a graph that runs, and gives no rows: what is baked into it leads nowhere.
    """
    return where_names_agree(named_throughout(model))


def where_recurrent_nodes_say(model: ModelProto) -> str:
    """``x=1,y=1``: where the axis stands that every recurrent node takes for its batch, behind its time; else empty."""
    recurrent = [node for node in model.graph.node if node.op_type in _RECURRENT]
    if not recurrent:
        return ""
    graph = named_throughout(model).graph
    seen = [*graph.input, *graph.value_info, *graph.output, *model.graph.output]  # what the file says of outputs, too
    named = [(value.name, [axis.dim_param for axis in _axes(value.type)]) for value in seen]
    batches = {name for node in recurrent for array, names in named if array == node.input[0] for name in names[1:2]}
    if len(batches) != 1 or "" in batches:
        return ""
    (batch,) = batches
    places = {array: names.index(batch) for array, names in named if batch in names}
    arrays = [value.name for value in (*real_inputs(model), *model.graph.output)]
    return _listed({array: places[array] for array in arrays}) if {*arrays} <= {*places} else ""


def named_throughout(model: ModelProto) -> ModelProto:
    """A copy in which every free axis of an input has a name, as ``x/1``, and outputs the shapes that follow from that
    by onnx's shape inference: none where it does not know the operators.
    """
    named = copy.deepcopy(model)
    for value in real_inputs(named):
        for place, axis in enumerate(_axes(value.type)):
            if not axis.dim_value and not axis.dim_param:
                axis.dim_param = f"{value.name}/{place}"
    for value in named.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(named, data_prop=True)


def where_names_agree(model: ModelProto) -> str:
    """``x=1,y=1``: where the only name of an axis that all inputs and outputs share stands, behind some first axis."""
    values = (*real_inputs(model), *model.graph.output)
    names = {value.name: [axis.dim_param for axis in _axes(value.type)] for value in values}
    shared = set.intersection(*({*axes} - {""} for axes in names.values()))
    return _listed({array: axes.index(*shared) for array, axes in names.items()}) if len(shared) == 1 else ""


def _listed(places: dict[str, int]) -> str:
    return shlex.quote(text) if (text := ",".join(f"{name}={place}" for name, place in places.items() if place)) else ""


def tidy_free_axes(model: ModelProto) -> list[str]:
    """Leave unset what says -1: older exporters write free axes so. The names of arrays with an axis that says 0."""
    zero = []
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for axis in _axes(value.type):
            if axis.HasField("dim_value") and axis.dim_value < 0:
                axis.Clear()
            elif axis.HasField("dim_value") and axis.dim_value == 0 and value in (*model.graph.input,):
                zero.append(value.name)
    return zero


def to_store(value: ValueInfoProto) -> str:
    """What to do about an input that is the same for all images: the line that stores it in the graph."""
    kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    shape = tuple(axis.dim_value or 1 for axis in _axes(value.type))
    made = f"numpy.full({shape}, {'False' if kind == 'bool' else '1'}, {kind!r})"
    return (
        "store the value that you use in the graph: model.graph.initializer.append(onnx.numpy_helper.from_array("
        f"{made}, {value.name!r}))"
    )


def _axes(kind: TypeProto) -> list[onnx.TensorShapeProto.Dimension]:
    tensor = kind.tensor_type
    return list(tensor.shape.dim) if tensor.HasField("shape") else []


def fixed_batch(model: ModelProto) -> int | None:
    """The number on the batch axis of the inputs; None where it is free."""
    sizes = {axes[0].dim_value for value in real_inputs(model) if (axes := _axes(value.type))}
    return next((size for size in sorted(sizes, reverse=True) if size), None)


def free_batch(model: ModelProto, reshapes: bool = False) -> ModelProto:
    """A copy whose inputs and outputs have a free first axis, and which says nothing of the shapes between.

    ``reshapes``: Reshape nodes whose first number is that of the batch copy the first axis of what they read instead.
    What comes out is only believed once it has been run.
    """
    size = fixed_batch(model)
    freed = copy.deepcopy(model)
    if size is not None:
        del freed.graph.value_info[:]
        if reshapes:
            copy_first_axis(freed, size)
    for value in (*(real_inputs(freed) if size else ()), *freed.graph.output):
        for axis in _axes(value.type)[:1]:
            if size is not None:
                axis.dim_param = "n"
            elif axis.dim_value:  # onnxruntime takes it for a slip of the exporter and goes on
                axis.Clear()
    return freed


def first_axes(model: ModelProto) -> list[int]:
    """The first numbers of the constant shapes that Reshape nodes are given, each once: one may be the batch."""
    return sorted({int(shape[0]) for _, shape in _reshapes(model) if shape.size > 1 and shape[0] > 0})


def copy_first_axis(model: ModelProto, size: int) -> None:
    """Let Reshape nodes to a first axis of ``size`` copy the first axis of what they reshape."""
    for node, shape in list(_reshapes(model)):
        if shape.size and shape[0] == size:
            copied = np.array([0, *shape[1:]], np.int64)  # 0: the same length as that axis of what is reshaped
            model.graph.initializer.append(numpy_helper.from_array(copied, f"{node.output[0]}/shape"))
            node.input[1] = f"{node.output[0]}/shape"


def _reshapes(model: ModelProto) -> Iterator[tuple[NodeProto, NDArray[np.int64]]]:
    """The Reshape nodes of a constant shape, and that shape."""
    constants = stored_tensors(model, model.graph.node)
    for node in model.graph.node:
        if node.op_type == "Reshape" and (stored := constants.get(node.input[1])) is not None:
            yield node, numpy_helper.to_array(stored)


_SHOWN_THROUGH = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Transpose", "DequantizeLinear",
                  "QuantizeLinear", "Dropout"}  # fmt: skip


def last_nodes(model: ModelProto) -> dict[str, NodeProto]:
    """By output the node that computes it, seen through nodes that only reshape, convert or round."""
    producers = {name: node for node in model.graph.node for name in node.output}
    nodes = {}
    for value in model.graph.output:
        node = producers.get(value.name)
        while node is not None and node.op_type in _SHOWN_THROUGH and (before := producers.get(node.input[0])):
            node = before
        if node is not None:
            nodes[value.name] = node
    return nodes
