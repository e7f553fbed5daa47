"""From the exported graph to each OpenVINO variant's own graph."""

import shutil
from pathlib import Path

import onnx

from isobatch.models.openvino.session import IR_FILE, ONNX_FILE, compile_model, computed_in, library, names_of
from isobatch.models.ort.build import require_unquantized
from isobatch.models.ort.calls import feed
from isobatch.models.ort.export import exported
from isobatch.models.ort.session import MODEL_FILE
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Manifest, VariantSpec, VariantUnavailable


def build_float(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """The exported ONNX graph as it is; OpenVINO reads it.

    Raises VariantUnavailable where bfloat16 is not native, or the graph is quantized already.
    """
    source, hint = exported(request), spec.recipe["hint"]
    if hint == "bf16":
        require_unquantized(onnx.load_model(source.folder / MODEL_FILE), spec)
    shutil.copyfile(source.folder / MODEL_FILE, folder / ONNX_FILE)
    compiled = compile_model(folder / ONNX_FILE, 1, hint)
    read_back = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    if hint == "bf16" and "bfloat16" not in read_back:
        raise VariantUnavailable(
            f"asked for bfloat16, OpenVINO reads back {read_back} on this processor",
            "use a processor with AVX512_BF16 or AMX; ov-fp32 runs here",
        )
    return Manifest(
        recipe={**source.manifest.recipe, **spec.recipe},
        size_bytes=(folder / ONNX_FILE).stat().st_size,
        notes=source.manifest.notes,
    )


def build_int8(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """int8 by NNCF's post-training quantization, calibrated on the images that the other static variants are.

    Raises VariantUnavailable where NNCF is missing or quantizes nothing, or the graph is quantized already.
    """
    openvino, nncf = library(), library("nncf")
    source, images = exported(request), request.images
    require_unquantized(onnx.load_model(source.folder / MODEL_FILE), spec)
    model = openvino.Core().read_model(source.folder / MODEL_FILE)
    request.say(f"quantizing {spec.name} with NNCF on {len(images)} images of {images.name}")
    nncf.set_log_level("ERROR")
    names = names_of(model.inputs, images.read(0, 1))
    one_by_one = nncf.Dataset(range(len(images)), lambda i: feed(names, images.read(i, i + 1)))
    quantized = nncf.quantize(model, one_by_one, subset_size=len(images))
    openvino.save_model(quantized, folder / IR_FILE, compress_to_fp16=False)
    if "int8" not in computed_in(compile_model(folder / IR_FILE, 1, "f32")):
        raise VariantUnavailable("NNCF left every layer of this network in float", "use ort-int8 or ov-fp32")
    return Manifest(
        recipe={**source.manifest.recipe, **spec.recipe, "observer": "NNCF's default", "images": len(images)},
        size_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        notes=source.manifest.notes,
    )
