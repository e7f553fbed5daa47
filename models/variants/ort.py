"""The onnxruntime variants: one exported graph, in five forms."""

from functools import partial

from isobatch.models.spec.words import Family, VariantSpec

_STATIC = {
    "weights": {"type": "int8", "granularity": "per-channel", "symmetric": True},
    "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
}
_ort = partial(VariantSpec, runtime="onnxruntime", open="isobatch.models.ort.runner:OrtRunner")
_static = partial(
    _ort,
    precision="int8",
    build="isobatch.models.ort.build:build_static",
    open="isobatch.models.ort.runner:QuantizedOrtRunner",
    calibrated=True,
)

VARIANTS = Family(
    _ort(
        name="ort-fp32",
        precision="fp32",
        summary="onnxruntime, float32",
        build="isobatch.models.ort.build:build_fp32",
    ),
    _ort(
        name="ort-fp16",
        precision="fp16",
        summary="onnxruntime, float16 weights, activations and logits",
        build="isobatch.models.ort.build:build_fp16",
        recipe={"weights": {"type": "float16"}, "activations": {"type": "float16"}, "logits": "float16"},
    ),
    _static(
        name="ort-int8",
        summary="onnxruntime, static int8 in QDQ format",
        recipe={**_STATIC, "format": "QDQ", "logits": "float32"},
    ),
    _static(
        name="ort-int8-qoperator",
        summary="onnxruntime, static int8 in QOperator format",
        recipe={**_STATIC, "format": "QOperator", "logits": "uint8"},
    ),
    _ort(
        name="ort-int8-dynamic",
        precision="int8",
        summary="onnxruntime, dynamic int8, convolutions included",
        build="isobatch.models.ort.build:build_dynamic",
        recipe={
            "observer": "min and max of the whole batch at run time",
            "format": "ConvInteger",
            "weights": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
            "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
            "logits": "float32",
        },
    ),
    order=30,
)
