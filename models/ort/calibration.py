"""Static calibration for onnxruntime: one pass over the calibration images, shared by both static formats."""

import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from isobatch.models.ort.calls import feed
from isobatch.models.ort.session import MODEL_FILE, open_session, ort_words
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, Manifest, VariantUnavailable

QUANTIZED_OPSET, ADVISED_OPSET = 13, 17
RANGES_FILE = "ranges.json"
OBSERVER = "min and max over the calibration images, one at a time"


def prepared(request: BuildRequest, source: Artifact) -> Artifact:
    """The folder with ``model.onnx``: the exported graph folded, shapes inferred, as the quantizers want it."""
    fields = {"artifact": "onnx-prepared", "source": source.key, "onnxruntime": version("onnxruntime")}

    def build(folder: Path) -> Manifest:
        model = onnx.load_model(source.folder / MODEL_FILE)
        opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        notes: tuple[str, ...] = ()
        if opset < QUANTIZED_OPSET:  # below it DequantizeLinear has no axis
            model = onnx.version_converter.convert_version(model, ADVISED_OPSET)
            notes = (
                f"raised from opset {opset} to {ADVISED_OPSET} (onnx.version_converter), as the quantizers need it",
            )
        onnx.save(model, folder / "raised.onnx")
        # symbolic shape inference is for transformers with computed shapes; it costs 3 s and adds nothing here
        quant_pre_process(folder / "raised.onnx", folder / MODEL_FILE, skip_symbolic_shape=True)
        (folder / "raised.onnx").unlink()
        return Manifest(recipe={}, size_bytes=(folder / MODEL_FILE).stat().st_size, notes=notes)

    return request.cache.get(fields, build)


def calibrated(request: BuildRequest, graph: Artifact) -> Artifact:
    """The folder with ``ranges.json``: the smallest and largest value of every float tensor of the prepared graph.

    In the format of ``quantize_static(calibration_cache_path=...)``. Raises ValueError without
    images, and when a value is not finite.
    """
    images = request.images
    fields = {
        "artifact": "onnx-ranges",
        "graph": graph.key,
        "observer": OBSERVER,
        "images": [images.seen_sha256, *images.shape, images.dtype],
        "onnxruntime": version("onnxruntime"),
    }

    def build(folder: Path) -> Manifest:
        request.say(f"calibrating onnxruntime on {len(images)} images of {images.name}")
        ranges = observe(graph.folder / MODEL_FILE, images)
        model = onnx.load_model(graph.folder / MODEL_FILE)
        apart = sorted((masks_of(model) | {*_tap(model)}) - ranges.keys())
        data = TensorsData(CalibrationMethod.MinMax, {name: (low, high) for name, (low, high) in ranges.items()})
        save_tensors_data(data, folder / RANGES_FILE)
        return Manifest(recipe={"observer": OBSERVER, "images": len(images), "masks": apart}, size_bytes=0)

    return request.cache.get(fields, build)


def observe(path: Path, images: Images) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Per float tensor of this graph its smallest and largest value, each float32 [1], over all images.

    Tensors in which a mask holds -infinity, or that hold no value, are left out: they stay in float.

    One image at a time: the ranges are those of singles, and memory does not grow with the set.
    """
    model = onnx.load_model(path)
    names = _tap(model)
    session = open_session(model.SerializeToString(), threads=len(os.sched_getaffinity(0)))
    names_in = [value.name for value in session.get_inputs()]
    outputs = [f"{name}/{end}" for end in ("min", "max") for name in names]
    masks = masks_of(model)
    masked = np.array([name in masks for name in names])
    lows, highs = np.full(len(names), np.inf, np.float32), np.full(len(names), -np.inf, np.float32)
    for index in range(len(images)):
        try:
            values = session.run(outputs, feed(names_in, images.read(index, index + 1)))
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise VariantUnavailable(
                f"the graph cannot be run on one image of {images.name!r} ({ort_words(error)}): it has no int8 scales",
                "measure the file as it is with --variants ort-fp32, which says what it takes",
            ) from error
        seen = np.array(values, np.float32).reshape(2, -1)
        lows, highs = np.minimum(lows, seen[0]), np.maximum(highs, seen[1])  # both keep NaN
        infinite = np.isneginf(lows) & masked & ~np.isnan(highs)  # what a mask hides has no scale, and needs none
        infinite |= np.isposinf(lows) & np.isneginf(highs)  # nor has what holds no value
        if not (np.isfinite([lows, highs]).all(axis=0) | infinite).all():
            worst = names[int(np.flatnonzero(~np.isfinite(lows + highs) & ~infinite)[0])]
            raise ValueError(
                f"tensor {worst!r} is not finite for image {index} of {images.name!r}, so it has no int8 scale; "
                "check the weights and the normalisation of the images"
            )
    seen_finite = np.isfinite(lows) & np.isfinite(highs)
    return {name: (lows[i : i + 1], highs[i : i + 1]) for i, name in enumerate(names) if seen_finite[i]}


def masks_of(model: onnx.ModelProto) -> set[str]:
    """The tensors that an attention mask may fill with -infinity: what Where gives, and sums and shapes made of it."""
    named: set[str] = set()
    for node in model.graph.node:
        carries = node.op_type in ("Add", "Unsqueeze", "Expand", "Reshape", "Identity", "Transpose", "Squeeze")
        if node.op_type == "Where" or (carries and named.intersection(node.input)):
            named.update(node.output)
    return named


def _tap(model: onnx.ModelProto) -> list[str]:
    """Add the extremes of every float tensor as outputs ``NAME/min`` and ``NAME/max``; the names."""
    graph = model.graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    tensors = [*(value.name for value in graph.input), *(name for node in graph.node for name in node.output)]
    names = [name for name in tensors if types.get(name) == onnx.TensorProto.FLOAT]
    for name in names:
        for end, operator in (("min", "ReduceMin"), ("max", "ReduceMax")):
            graph.node.append(onnx.helper.make_node(operator, [name], [f"{name}/{end}"], keepdims=0))
            graph.output.append(onnx.helper.make_tensor_value_info(f"{name}/{end}", onnx.TensorProto.FLOAT, []))
    return names
