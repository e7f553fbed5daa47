"""From the exported graph to each onnxruntime variant's own ``model.onnx``."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from isobatch.models.ort.calibration import RANGES_FILE, calibrated, prepared
from isobatch.models.ort.check_user_file import OnnxError
from isobatch.models.ort.clipping import WATCHED_FILE
from isobatch.models.ort.export import exported
from isobatch.models.ort.graph import quantized_nodes, weight_layers
from isobatch.models.ort.interface import last_nodes
from isobatch.models.ort.saturation import saturating_operators
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.shared.regular_files import Altered
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Artifact, Json, Manifest, VariantSpec, VariantUnavailable

ENOUGH_IMAGES = 32
"""Calibration images from which on nobody is asked for more: as many as a study takes of a large set."""

_FP16_TINIEST, _FP16_LARGEST = 5.96e-08, 65504.0  # the converter's own limits


def build_fp32(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """The exported graph as it is."""
    source = exported(request)
    shutil.copyfile(source.folder / MODEL_FILE, folder / MODEL_FILE)
    return _manifest(source, folder, spec.recipe)


def build_fp16(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """Weights, activations and logits in float16; the input stays float32, and the graph's first step casts it."""
    source, model = _float_graph(spec, request)
    notes = _clamped(model)
    with _in_one_sentence(spec, "onnxruntime's float16 converter"):
        half = convert_float_to_float16(model, keep_io_types=[value.name for value in model.graph.input])
        open_session(half.SerializeToString(), 1, quiet=True)
    onnx.save(half, folder / MODEL_FILE)
    return _manifest(source, folder, spec.recipe, notes)


def build_static(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """int8 with scales from the shared calibration, in the format ``spec.recipe["format"]``: QDQ or QOperator.

    Beside ``model.onnx`` stands its watched twin, which is not deployed; see ``ort_clipping``.
    """
    source, _ = _float_graph(spec, request)
    with _in_one_sentence(spec, "onnxruntime's preparation for quantizing"):
        graph = prepared(request, source)
    ranges = calibrated(request, graph)
    reduce_range = "QLinearConv" in saturating_operators()
    float_logits = {"OpTypesToExcludeOutputQuantization": ["Gemm"]} if spec.recipe["logits"] == "float32" else {}
    twins = {
        MODEL_FILE: (QuantFormat[spec.recipe["format"]], float_logits),
        WATCHED_FILE: (QuantFormat.QDQ, {**float_logits, "QDQKeepRemovableActivations": True}),
    }
    request.say(f"quantizing {spec.name}")
    with _in_one_sentence(spec, "onnxruntime's static quantizer"):
        for name, (form, options) in twins.items():
            model = onnx.load_model(graph.folder / MODEL_FILE)  # anew: the quantizers change it
            quantize_static(
                model,
                folder / name,
                quant_format=form,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=reduce_range,
                calibration_cache_path=ranges.folder / RANGES_FILE,
                nodes_to_exclude=_in_float(model, ranges.manifest.recipe["masks"]),
                extra_options=options,
            )
        open_session(folder / MODEL_FILE, 1, quiet=True)
    _require_quantized(spec, folder)
    stored = {name: value for name, value in ranges.manifest.recipe.items() if name != "masks" or value}
    recipe = {**spec.recipe, **stored, "reduce_range": reduce_range, "logits": _logits(folder / MODEL_FILE)}
    images = request.images
    few = f": few, and {ENOUGH_IMAGES} or more would be better" if len(images) < ENOUGH_IMAGES else ""
    rest = f"its scales rest on {len(images)} calibration images of {images.name}{few}"
    return _manifest(source, folder, recipe, (*graph.manifest.notes, rest))


def build_dynamic(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """int8 with activation scales taken from each whole batch at run time; convolutions become ConvInteger.

    Weights are uint8: onnxruntime 1.32 runs ConvInteger with int8 weights at half that speed here.
    """
    source, _ = _float_graph(spec, request)
    reduce_range = "ConvInteger" in saturating_operators()
    with _in_one_sentence(spec, "onnxruntime's dynamic quantizer"):
        graph = prepared(request, source)
        request.say(f"quantizing {spec.name}")
        model = onnx.load_model(graph.folder / MODEL_FILE)
        quantize_dynamic(model, folder / MODEL_FILE, weight_type=QuantType.QUInt8, reduce_range=reduce_range)
        open_session(folder / MODEL_FILE, 1, quiet=True)
    _require_quantized(spec, folder)
    return _manifest(source, folder, {**spec.recipe, "reduce_range": reduce_range}, graph.manifest.notes)


@contextmanager
def _in_one_sentence(spec: VariantSpec, what: str) -> Iterator[None]:
    """Say in one sentence why a converter of onnxruntime cannot make this variant, whatever it raised."""
    try:
        yield
    except (VariantUnavailable, OnnxError, Altered, MemoryError):
        raise
    except Exception as error:  # the converters' exceptions share no base class, and a session's name inner codes
        why = " ".join(str(error).split())
        node = re.search(r"[Nn]ode:? ?(?:with name )?\(?'?(?!with\b)([\w./:-]+)", why)
        where = f" at {node[1]!r}" if node else ""
        raise VariantUnavailable(
            f"{what} cannot make {spec.name} from this graph{where} ({type(error).__name__})",
            "measure the file as it is with --variants ort-fp32, or export the network again with a newer exporter",
        ) from error


def _in_float(model: onnx.ModelProto, masks: Sequence[str]) -> list[str]:
    """The nodes that stay in float: Softmax and Sigmoid that make the outputs, and what reads or writes a mask.

    Answers on a grid of 1/256 say little; a tensor with -infinity has no scale.
    """
    last = [node.name for node in last_nodes(model).values() if node.op_type in ("Softmax", "LogSoftmax", "Sigmoid")]
    return last + [node.name for node in model.graph.node if {*node.input, *node.output}.intersection(masks)]


def _logits(path: Path) -> str:
    """The type that the outputs of this quantized graph are rounded to."""
    model = onnx.load_model(path)
    last = [node.op_type for node in model.graph.node for value in model.graph.output if value.name in node.output]
    return "uint8" if "DequantizeLinear" in last else "float32"


def require_unquantized(model: onnx.ModelProto, spec: VariantSpec) -> None:
    """Raise VariantUnavailable where the graph is quantized already: of it no variant of another name is made."""
    if count := quantized_nodes(model):
        raise VariantUnavailable(
            f"the file is quantized already ({count} quantizing nodes), and {spec.name} is made from a float32 graph",
            "give the float32 file that it was made from; ort-fp32 runs this one as it is, int8 as given",
        )


def _require_quantized(spec: VariantSpec, folder: Path) -> None:
    """Raise VariantUnavailable where the quantizer changed nothing: trees, comparisons, sums have no weights for it."""
    if not quantized_nodes(onnx.load_model(folder / MODEL_FILE)):
        raise VariantUnavailable(
            f"the graph has nothing that onnxruntime's quantizer quantizes: {spec.name} would be the float graph again",
            "deploy ort-fp32",
        )


def _float_graph(spec: VariantSpec, request: BuildRequest) -> tuple[Artifact, onnx.ModelProto]:
    """The exported graph. Raises VariantUnavailable unless nothing is quantized and the weight layers are float32."""
    source = exported(request)
    model = onnx.load_model(source.folder / MODEL_FILE)
    require_unquantized(model, spec)
    other = sorted({layer.stored for layer in weight_layers(model)} - {"fp32"})
    if other:
        raise VariantUnavailable(
            f"the graph holds {' and '.join(other)} weights already, and {spec.name} is made from a float32 graph",
            "give the float32 file that it was made from; ort-fp32 runs this one as it is",
        )
    return source, model


def _manifest(source: Artifact, folder: Path, recipe: Mapping[str, Json], notes: tuple[str, ...] = ()) -> Manifest:
    return Manifest(
        recipe={**source.manifest.recipe, **recipe},
        size_bytes=(folder / MODEL_FILE).stat().st_size,
        notes=source.manifest.notes + notes,
    )


def _clamped(model: onnx.ModelProto) -> tuple[str, ...]:
    """A note for each way in which the fp16 converter silently changes weights beyond rounding."""
    floats = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    sizes = [np.abs(numpy_helper.to_array(tensor)) for tensor in floats]
    raised = sum(int(((size > 0) & (size < _FP16_TINIEST)).sum()) for size in sizes)
    cut = sum(int((size > _FP16_LARGEST).sum()) for size in sizes)
    notes = []
    if raised:
        notes.append(f"{raised} weights below {_FP16_TINIEST} were raised to it, where rounding would give 0 for many")
    if cut:
        notes.append(f"{cut} weights beyond {_FP16_LARGEST:.0f} were cut to it, where rounding would give infinity")
    return tuple(notes)
