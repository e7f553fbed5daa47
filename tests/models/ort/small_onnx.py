"""A small residual classifier as an ONNX file, and what the onnxruntime tests need to build variants of it."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, Network

CLASSES = 10
LAYERS = 4  # three convolutions and the classifier


def classifier(shape: tuple[object, ...] = ("n", 3, "height", "width"), activation: str = "Relu") -> onnx.ModelProto:
    """conv, activation, conv, activation, conv, add, activation, global average pool, linear."""
    draws = np.random.default_rng(5)

    def weight(*dims: int) -> NDArray[np.float32]:
        return draws.standard_normal(dims, np.float32) * np.float32(np.sqrt(2 / np.prod(dims[1:])))

    constants = {
        "a.weight": weight(8, 3, 3, 3),
        "b.weight": weight(8, 8, 3, 3),
        "c.weight": weight(8, 8, 1, 1),
        "fc.weight": weight(CLASSES, 8),
        **{f"{name}.bias": weight(8, 1).reshape(8) * np.float32(0.1) for name in "abc"},
        "fc.bias": weight(CLASSES, 1).reshape(CLASSES) * np.float32(0.1),
    }
    limits = {"low": np.float32(0), "high": np.float32(6)} if activation == "Clip" else {}
    nodes = [
        helper.make_node("Conv", ["images", "a.weight", "a.bias"], ["a"], "a", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["a", *limits], ["a_act"], "a_act"),
        helper.make_node("Conv", ["a_act", "b.weight", "b.bias"], ["b"], "b", pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["b", *limits], ["b_act"], "b_act"),
        helper.make_node("Conv", ["b_act", "c.weight", "c.bias"], ["c"], "c"),
        helper.make_node("Add", ["c", "a_act"], ["sum"], "sum"),
        helper.make_node(activation, ["sum", *limits], ["sum_act"], "sum_act"),
        helper.make_node("GlobalAveragePool", ["sum_act"], ["pool"], "pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in {**constants, **limits}.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def pixels(count: int, size: tuple[int, int] = (24, 32), seed: int = 0) -> NDArray[np.float32]:
    """Standard normal images [count, 3, *size]."""
    return np.random.default_rng(seed).standard_normal((count, 3, *size), np.float32)


def stored(folder: Path, values: NDArray[np.float32], name: str = "calibration") -> Images:
    """These images as a stored set."""
    path = folder / f"{name}.f32"
    path.write_bytes(values.tobytes())
    count, channels, height, width = values.shape
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return Images(name, str(path), "float32", (count, channels, height, width), digest)


def request(folder: Path, model: onnx.ModelProto, calibration: NDArray[np.float32] | None = None) -> BuildRequest:
    """A request to build variants of this model, with its cache below the folder."""
    path = folder / "small.onnx"
    onnx.save(model, path)
    images = None if calibration is None else stored(folder, calibration)
    network = Network("small", "", "", CLASSES, onnx_path=str(path))
    return BuildRequest(network, images, ArtifactCache(folder / "cache"), say=lambda line: None)


def build(name: str, made_of: BuildRequest, folder: Path) -> Artifact:
    """The artifact of this variant, in a sub-folder of its name."""
    spec = find_variant(name)
    target = folder / name
    target.mkdir()
    return Artifact("0" * 64, target, load(spec.build)(spec, made_of, target))
