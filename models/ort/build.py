"""From the exported graph to each onnxruntime variant's own ``model.onnx``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from isobatch.models.ort.calibration import RANGES_FILE, calibrated, prepared
from isobatch.models.ort.clipping import WATCHED_FILE
from isobatch.models.ort.export import exported
from isobatch.models.ort.graph import weight_layers
from isobatch.models.ort.saturation import saturating_operators
from isobatch.models.ort.session import MODEL_FILE
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Artifact, Json, Manifest, VariantSpec, VariantUnavailable

_PER_CHANNEL_OPSET, _DYNAMIC_OPSET, _ADVISED_OPSET = 13, 11, 17  # below 13 DequantizeLinear has no axis
_FP16_TINIEST, _FP16_LARGEST = 5.96e-08, 65504.0  # the converter's own limits


def build_fp32(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """The exported graph as it is."""
    source = exported(request)
    shutil.copyfile(source.folder / MODEL_FILE, folder / MODEL_FILE)
    return _manifest(source, folder, spec.recipe)


def build_fp16(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """Weights, activations and logits in float16; the input stays float32, and the graph's first step casts it."""
    source = exported(request)
    model = onnx.load_model(source.folder / MODEL_FILE)
    _require_float(model, spec)
    notes = _clamped(model)
    half = convert_float_to_float16(model, keep_io_types=[model.graph.input[0].name])
    onnx.save(half, folder / MODEL_FILE)
    return _manifest(source, folder, spec.recipe, notes)


def build_static(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """int8 with scales from the shared calibration, in the format ``spec.recipe["format"]``: QDQ or QOperator.

    Beside ``model.onnx`` stands its watched twin, which is not deployed; see ``ort_clipping``.
    """
    source = exported(request)
    _require_float(onnx.load_model(source.folder / MODEL_FILE), spec, _PER_CHANNEL_OPSET)
    graph = prepared(request, source)
    ranges = calibrated(request, graph)
    reduce_range = "QLinearConv" in saturating_operators()
    float_logits = {"OpTypesToExcludeOutputQuantization": ["Gemm"]} if spec.recipe["logits"] == "float32" else {}
    twins = {
        MODEL_FILE: (QuantFormat[spec.recipe["format"]], float_logits),
        WATCHED_FILE: (QuantFormat.QDQ, {**float_logits, "QDQKeepRemovableActivations": True}),
    }
    request.say(f"quantizing {spec.name}")
    for name, (form, options) in twins.items():
        quantize_static(
            onnx.load_model(graph.folder / MODEL_FILE),  # anew: the quantizers change it
            folder / name,
            quant_format=form,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=reduce_range,
            calibration_cache_path=ranges.folder / RANGES_FILE,
            extra_options=options,
        )
    return _manifest(source, folder, {**spec.recipe, **ranges.manifest.recipe, "reduce_range": reduce_range})


def build_dynamic(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """int8 with activation scales taken from each whole batch at run time; convolutions become ConvInteger.

    Weights are uint8: onnxruntime 1.32 runs ConvInteger with int8 weights at half that speed here.
    """
    source = exported(request)
    _require_float(onnx.load_model(source.folder / MODEL_FILE), spec, _DYNAMIC_OPSET)
    model = onnx.load_model(prepared(request, source).folder / MODEL_FILE)
    reduce_range = "ConvInteger" in saturating_operators()
    request.say(f"quantizing {spec.name}")
    quantize_dynamic(model, folder / MODEL_FILE, weight_type=QuantType.QUInt8, reduce_range=reduce_range)
    return _manifest(source, folder, {**spec.recipe, "reduce_range": reduce_range})


def _require_float(model: onnx.ModelProto, spec: VariantSpec, opset: int = 1) -> None:
    """Raise VariantUnavailable unless the weight layers are float32 and the graph's opset is at least that."""
    other = sorted({layer.stored for layer in weight_layers(model)} - {"fp32"})
    if other:
        raise VariantUnavailable(
            f"the graph holds {' and '.join(other)} weights already, and {spec.name} is made from a float32 graph",
            "give the float32 file that it was made from; ort-fp32 runs this one as it is",
        )
    found = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if found < opset:
        raise VariantUnavailable(
            f"the graph has opset {found}, and the quantizer of {spec.name} needs {opset}",
            f"export it with opset_version={max(opset, _ADVISED_OPSET)}, or raise it with onnx.version_converter",
        )


def _manifest(source: Artifact, folder: Path, recipe: Mapping[str, Json], notes: tuple[str, ...] = ()) -> Manifest:
    layers = weight_layers(onnx.load_model(folder / MODEL_FILE))
    return Manifest(
        recipe={**source.manifest.recipe, **recipe},
        size_bytes=(folder / MODEL_FILE).stat().st_size,
        int8_layers=sum(layer.stored == "int8" for layer in layers),
        weight_layers=len(layers),
        notes=source.manifest.notes + notes,
    )


def _clamped(model: onnx.ModelProto) -> tuple[str, ...]:
    """A note for each way in which the fp16 converter silently changes weights beyond rounding."""
    raised = cut = 0
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            size = np.abs(numpy_helper.to_array(tensor))
            raised += int(((size > 0) & (size < _FP16_TINIEST)).sum())
            cut += int((size > _FP16_LARGEST).sum())
    notes = []
    if raised:
        notes.append(f"{raised} weights below {_FP16_TINIEST} were raised to it, where rounding would give 0 for many")
    if cut:
        notes.append(f"{cut} weights beyond {_FP16_LARGEST:.0f} were cut to it, where rounding would give infinity")
    return tuple(notes)
