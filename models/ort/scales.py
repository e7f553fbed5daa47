"""Dynamically quantized ONNX graphs with activation scales that the batch has no part in."""

import copy

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, numpy_helper

from isobatch.models.ort.calls import feed
from isobatch.models.ort.per_sample import DYNAMIC, per_sample_scales
from isobatch.models.ort.session import open_session
from isobatch.models.spec.repairable import Scales
from isobatch.models.spec.words import VariantUnavailable

_STEPS = 255


def rescaled(model: ModelProto, kind: Scales, examples: NDArray[np.float32]) -> ModelProto:
    """``model`` as a user has it with other activation scales. Raises VariantUnavailable where none are dynamic."""
    match kind:
        case "per-sample":
            return per_sample_scales(model)
        case "static":
            return static_scales(model, examples)
        case "power-of-two":
            raise VariantUnavailable(
                "scales of powers of two are made for torch's static int8 modules only", "choose another repair"
            )


def static_scales(model: ModelProto, examples: NDArray[np.float32]) -> ModelProto:
    """Every dynamic quantization replaced by one of a constant scale: that of the range seen over ``examples``.

    Scale and zero point as the operator's specification has them: of the range that also holds 0, in 255 steps.
    """
    dynamic = [node for node in model.graph.node if node.op_type == DYNAMIC]
    if not dynamic:
        raise VariantUnavailable("nothing in this graph is quantized dynamically", "choose another repair")
    ranges = _ranges(model, [node.input[0] for node in dynamic], examples)
    changed = copy.deepcopy(model)
    for node in [node for node in changed.graph.node if node.op_type == DYNAMIC]:
        low, high = ranges[node.input[0]]
        scale = np.float32((high - low) / _STEPS or 1)
        zero_point = np.uint8(np.clip(np.rint(-low / scale), 0, _STEPS))
        names = node.output[1:]  # what the operator gave is stored now
        for value, name in zip((scale, zero_point), names, strict=True):
            changed.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
        node.op_type = "QuantizeLinear"
        node.input.extend(names)
        del node.output[1:]
    return changed


def _ranges(model: ModelProto, names: list[str], examples: NDArray[np.float32]) -> dict[str, tuple[float, float]]:
    """Least and largest value of each of these, 0 included, over the examples one at a time."""
    tapped = copy.deepcopy(model)
    given = [value.name for value in model.graph.input]
    taps = [name for name in dict.fromkeys(names) if name not in given]
    tapped.graph.output.extend(ValueInfoProto(name=name) for name in taps)
    session = open_session(tapped.SerializeToString(), 1, quiet=True)
    ranges = dict.fromkeys(names, (0.0, 0.0))
    for start in range(len(examples)):
        image = feed(given, examples[start : start + 1])
        values = dict(zip(taps, session.run(taps, image), strict=True)) | image
        for name, (low, high) in ranges.items():
            ranges[name] = min(low, float(values[name].min())), max(high, float(values[name].max()))
    return ranges
