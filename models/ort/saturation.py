"""Whether onnxruntime's int8 kernels lose sums on this machine: asked of the kernels, not of a list of CPUs."""

from functools import cache

import numpy as np
from onnx import TensorProto, helper

from isobatch.models.ort.graph import serialized
from isobatch.models.ort.session import open_session

_CHANNELS = 64
_RESCALED = 200


@cache
def saturating_operators() -> frozenset[str]:
    """The integer convolutions that clip partial sums at 16 bits here, as x86 without VNNI does with uint8 x int8.

    Two products of 255 x 127 exceed 32767 (vpmaddubsw; Intel 64 manual, volume 2), so a kernel that adds pairs in 16
    bits loses much of an all-extreme sum. Asked in the types that the variants use: QLinearConv has int8 weights,
    ConvInteger uint8.
    """
    session = open_session(_extreme_sums(), threads=1)
    values = session.run(["QLinearConv", "ConvInteger"], {"x": np.full((1, _CHANNELS, 8, 8), 255, np.uint8)})
    exact = {"QLinearConv": _RESCALED, "ConvInteger": 255 * 255 * _CHANNELS}
    return frozenset(
        name for (name, expected), value in zip(exact.items(), values, strict=True) if np.any(value != expected)
    )


def _extreme_sums() -> bytes:
    """Both convolutions of a uint8 input [1, 64, 8, 8] with the largest weights; one is scaled to fit uint8."""
    constants = {
        "int8": np.full((16, _CHANNELS, 1, 1), 127, np.int8),
        "uint8": np.full((16, _CHANNELS, 1, 1), 255, np.uint8),
        "one": np.float32(1),
        "scale": np.float32(255 * 127 * _CHANNELS / _RESCALED),
        "zero": np.uint8(0),
        "signed_zero": np.int8(0),
    }
    rescaled = ["x", "one", "zero", "int8", "one", "signed_zero", "scale", "zero"]
    nodes = [
        helper.make_node("QLinearConv", rescaled, ["QLinearConv"]),
        helper.make_node("ConvInteger", ["x", "uint8", "zero", "zero"], ["ConvInteger"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, _CHANNELS, 8, 8])
    return serialized(nodes, x, ["QLinearConv", "ConvInteger"], constants)
