"""Shapes of outputs that a file does not tell: inferred from those of its inputs, or else learnt from a call."""

import contextlib
from collections.abc import Iterable

import onnx
from onnx import ModelProto, ValueInfoProto

from isobatch.models.ort.freed import made_up
from isobatch.models.ort.interface import fixed_batch, inputs_of, named_throughout
from isobatch.models.ort.session import open_session


def infer_output_shapes(model: ModelProto) -> tuple[str, ...]:
    """Give outputs without a shape the one that follows from those of the inputs; a note where there were any."""
    inferred: list[ValueInfoProto] = []
    if bare := _bare(model):
        with contextlib.suppress(Exception):  # what is wrong with the graph is said by the checks that follow
            inferred = [value for value in named_throughout(model).graph.output if value.name in bare and _told(value)]
    for value in inferred:
        bare[value.name].CopyFrom(value)
    return (f"{_shape_of(inferred)} was inferred (onnx.shape_inference)",) if inferred else ()


def learn_output_shapes(model: ModelProto) -> tuple[str, ...]:
    """Give outputs still without a shape the one that a call has, the batch free; a note where there were any."""
    bare = _bare(model)
    if not bare:
        return ()
    count = fixed_batch(model) or 1
    try:
        session = open_session(model.SerializeToString(), 1, optimise=False, quiet=True)
        values = session.run([*bare], {tensor.name: made_up(tensor, count) for tensor in inputs_of(model)})
    except Exception:  # as above
        return ()
    for output, value in zip(bare.values(), values, strict=True):
        shape = [None, *value.shape[1:]][: value.ndim]
        kind = output.type.tensor_type.elem_type
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, kind, shape))
    return (f"{_shape_of(bare.values())} was learnt from a call",)


def _bare(model: ModelProto) -> dict[str, ValueInfoProto]:
    return {value.name: value for value in model.graph.output if not value.type.tensor_type.HasField("shape")}


def _told(value: ValueInfoProto) -> bool:
    """Whether a shape is there, with a number or a name for every axis but the first."""
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(axis.dim_value or axis.dim_param for axis in tensor.shape.dim[1:])


def _shape_of(outputs: Iterable[ValueInfoProto]) -> str:
    return f"the shape of its output {', '.join(repr(value.name) for value in outputs)}"
