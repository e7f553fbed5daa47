"""The onnxruntime variants: one exported graph, in five forms."""

from isobatch.models.spec.words import VariantSpec

ORDER = 30

_STATIC = {
    "weights": {"type": "int8", "granularity": "per-channel", "symmetric": True},
    "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
}

VARIANTS = (
    VariantSpec(
        name="ort-fp32",
        runtime="onnxruntime",
        precision="fp32",
        summary="onnxruntime, float32",
        build="isobatch.models.ort.build:build_fp32",
        open="isobatch.models.ort.runner:open_runner",
    ),
    VariantSpec(
        name="ort-fp16",
        runtime="onnxruntime",
        precision="fp16",
        summary="onnxruntime, float16 weights, activations and logits",
        build="isobatch.models.ort.build:build_fp16",
        open="isobatch.models.ort.runner:open_runner",
        recipe={"weights": {"type": "float16"}, "activations": {"type": "float16"}, "logits": "float16"},
    ),
    VariantSpec(
        name="ort-int8",
        runtime="onnxruntime",
        precision="int8",
        summary="onnxruntime, static int8 in QDQ format",
        build="isobatch.models.ort.build:build_static",
        open="isobatch.models.ort.runner:open_quantized",
        recipe={**_STATIC, "format": "QDQ", "logits": "float32"},
        calibrated=True,
    ),
    VariantSpec(
        name="ort-int8-qoperator",
        runtime="onnxruntime",
        precision="int8",
        summary="onnxruntime, static int8 in QOperator format",
        build="isobatch.models.ort.build:build_static",
        open="isobatch.models.ort.runner:open_quantized",
        recipe={**_STATIC, "format": "QOperator", "logits": "uint8"},
        calibrated=True,
    ),
    VariantSpec(
        name="ort-int8-dynamic",
        runtime="onnxruntime",
        precision="int8",
        summary="onnxruntime, dynamic int8, convolutions included",
        build="isobatch.models.ort.build:build_dynamic",
        open="isobatch.models.ort.runner:open_runner",
        recipe={
            "observer": "min and max of the whole batch at run time",
            "format": "ConvInteger",
            "weights": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
            "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
            "logits": "float32",
        },
    ),
)
