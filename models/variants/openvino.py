"""The OpenVINO variants: the exported ONNX graph in float32 and bfloat16, and int8 by NNCF. An extra."""

from functools import partial

from isobatch.models.spec.words import Family, VariantSpec

_OPENVINO, _NNCF = "openvino==2026.4.1", "nncf==3.4.0"
_openvino = partial(
    VariantSpec,
    runtime="openvino",
    open="isobatch.models.openvino.runner:OpenVinoRunner",
    extra="openvino",
    requires=(_OPENVINO,),
)

VARIANTS = Family(
    _openvino(
        name="ov-fp32",
        precision="fp32",
        summary="OpenVINO, float32",
        build="isobatch.models.openvino.build:build_float",
        recipe={"hint": "f32"},
    ),
    _openvino(
        name="ov-bf16",
        precision="bf16",
        summary="OpenVINO, float32 weights, computing in bfloat16",
        build="isobatch.models.openvino.build:build_float",
        recipe={"hint": "bf16"},
    ),
    _openvino(
        name="ov-int8",
        precision="int8",
        summary="OpenVINO, static int8 by NNCF",
        build="isobatch.models.openvino.build:build_int8",
        recipe={
            "hint": "f32",
            "weights": {"type": "int8", "granularity": "per-channel", "symmetric": True},
            "activations": {"type": "int8 or uint8", "granularity": "per-tensor", "symmetric": "where signed"},
            "logits": "float32",
        },
        calibrated=True,
        requires=(_OPENVINO, _NNCF),
    ),
    order=35,
)
