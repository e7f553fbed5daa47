"""A small ONNX graph as a shipped folder with its record, made without a study."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from isobatch.models.spec.images import Images
from isobatch.pipeline.deploy.folder import deliver, model_files, serving, store_images, stored_files
from isobatch.pipeline.deploy.record import INPUTS_FILE, Output, VerificationRecord
from isobatch.pipeline.deploy.serve import Files, run_served
from isobatch.pipeline.machine.environment import read_environment
from isobatch.pipeline.records.study import Repair

IMAGES = np.random.default_rng(0).standard_normal((4, 3, 4, 4), np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((48, 5), np.float32)
VIEW = {
    "size": 4,
    "resize": 5,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}


def graph(weight: Any, leak: bool = False) -> bytes:
    """The maximum over each image's products with a matrix; ``leak``: less the batch's maximum."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "last"], ["rows"]),
        helper.make_node("Mul", ["rows", "weight"], ["products"]),
        helper.make_node("ReduceMax", ["products", "axis"], ["logits" if not leak else "own"], keepdims=0),
    ]
    if leak:
        nodes += [
            helper.make_node("ReduceMax", ["own", "batch"], ["most"], keepdims=1),
            helper.make_node("Sub", ["own", "most"], ["logits"]),
        ]
    constants = {"weight": weight, "last": np.array([2]), "axis": np.array([1]), "batch": np.array([0])}
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def small_files(folder: Path) -> Files:
    """The graph's files in this folder, with images beside them."""
    (folder / "model.onnx").write_bytes(graph(WEIGHT))
    store_images(IMAGES, "drawn", folder / INPUTS_FILE)
    settings = serving(
        "onnxruntime", {"optimise": True}, 1, 3, 2, Images("drawn", "", "float32", (1, 3, 4, 4), ""), VIEW
    )
    return Files(settings, model_files(folder))


def shipped(folder: Path, scratch: Path) -> Path:
    """The folder with all that is shipped of the graph."""
    files = small_files(scratch)
    images = scratch / INPUTS_FILE
    stored = store_images(IMAGES, "drawn", images)
    served = run_served(files, images, 1, [2, 3])
    record = VerificationRecord(
        tool_version="0",
        created_utc="2026-01-01T00:00:00Z",
        variant="ort-fp32",
        model="small",
        weights_sha256="0" * 64,
        files=stored_files(files.model),
        serving=files.serving,
        inputs=[stored],
        batch_invariant=True,
        outputs=[Output(inputs="drawn", threads=1, batch_size=n, sha256=one.plain) for n, one in served.items()],
        n_comparisons=6,
        repair=Repair(name="native", batch_invariant=True, scope="4 images"),
        environment=read_environment(1, {}, {}),
    )
    deliver(record, files, scratch, folder, ["A fact with `marks`."])
    return folder
