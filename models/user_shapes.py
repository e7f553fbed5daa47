"""What an ONNX file says of its inputs, before anything else of it is believed."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

Dims = tuple[int | None, ...]


def input_shapes(path: Path) -> dict[str, Dims]:
    """The dimensions of each float32 input by its name, batch axis first; None where free. Weights are no inputs.

    Raises ValueError for a file that holds no graph, or one with an input of another type or of unknown rank.
    """
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (DecodeError, OSError) as error:
        raise ValueError(f"{path.name} is no ONNX file that can be read: {error}") from error
    weights = {tensor.name for tensor in graph.initializer}
    found: dict[str, Dims] = {}
    for value in graph.input:
        if value.name in weights:
            continue
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT or not tensor.HasField("shape"):
            raise ValueError(f"the input {value.name!r} is no float32 tensor of known rank")
        found[value.name] = tuple(dim.dim_value or None for dim in tensor.shape.dim)
    if not found:
        raise ValueError(f"{path.name} has no input")
    return found
