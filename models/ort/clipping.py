"""How many activations a static quantization loses beyond its range."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from isobatch.models.ort.calls import feed
from isobatch.models.ort.session import open_session

WATCHED_FILE = "watched.onnx"
"""The QDQ form of a static quantization with its ReLU and Clip nodes kept, beside the deployed ``model.onnx``.

The quantizers drop those nodes where the int8 range does their work. Kept, they tell what an activation function
removes from what the range loses; and in QDQ form every value can be seen before it is rounded.
"""


@dataclass(frozen=True)
class _Watched:
    """The float tensor that a QuantizeLinear reads, and between which values nothing is lost."""

    layer: str
    tensor: str
    low: float
    high: float


def clip_counts(path: Path, images: NDArray[np.float32], threads: int) -> dict[str, tuple[int, int]]:
    """Per quantized layer of this watched graph how many activations are lost beyond the int8 range, of how many.

    Lost: more than one step outside. A value at a limit is not lost, for the limits are values that the calibration
    saw, such as a white background; nor is one that ReLU or Clip replaces anyway.
    """
    model = onnx.load_model(path)
    watched = _watched(model)
    if not watched:  # nothing of this graph could be quantized; a session asked for no output gives all
        return {}
    seen = {value.name for value in model.graph.output}
    for item in watched:
        if item.tensor not in seen:
            model.graph.output.append(onnx.helper.make_tensor_value_info(item.tensor, onnx.TensorProto.FLOAT, None))
    session = open_session(model.SerializeToString(), threads)
    names, outputs = [value.name for value in session.get_inputs()], [item.tensor for item in watched]
    lost, total = Counter[str](), Counter[str]()
    for index in range(len(images)):
        values = session.run(outputs, feed(names, images[index : index + 1]))
        for item, value in zip(watched, values, strict=True):
            lost[item.layer] += int(np.count_nonzero((value < item.low) | (value > item.high)))
            total[item.layer] += value.size
    return {layer: (lost[layer], total[layer]) for layer in total}


def _watched(model: ModelProto) -> list[_Watched]:
    """What each QuantizeLinear reads, but for those that only repeat the range in front of a ReLU or Clip."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}
    consumers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def repeats(source: NodeProto | None) -> bool:
        before = producers.get(source.input[0]) if source is not None and source.op_type in ("Relu", "Clip") else None
        return before is not None and before.op_type == "DequantizeLinear"

    def bounds(node: NodeProto) -> tuple[float, float]:
        """Between which values the activation function behind this QuantizeLinear leaves its input alone."""
        dequantized = [name for reader in consumers.get(node.output[0], []) for name in reader.output]
        readers = [reader for name in dequantized for reader in consumers.get(name, [])]
        if len(readers) == 1 and readers[0].op_type == "Relu":
            return 0.0, math.inf
        low, high = -math.inf, math.inf
        if len(readers) == 1 and readers[0].op_type == "Clip":  # each bound may be left out, or computed
            given = [*readers[0].input[1:3], "", ""]
            low, high = (float(constants.get(name, free)) for name, free in zip(given, (low, high), strict=False))
        return low, high

    watched = []
    for node in model.graph.node:
        source = producers.get(node.input[0])
        if node.op_type == "QuantizeLinear" and not repeats(source):
            scale, zero = float(constants[node.input[1]]), constants[node.input[2]]
            limits = np.iinfo(zero.dtype)
            low, high = scale * (limits.min - 1 - int(zero)), scale * (limits.max + 1 - int(zero))
            floor, ceiling = bounds(node)
            watched.append(
                _Watched(
                    layer=node.input[0] if source is None else source.name,
                    tensor=node.input[0],
                    low=-math.inf if floor >= low else low,
                    high=math.inf if ceiling <= high else high,
                )
            )
    return watched
