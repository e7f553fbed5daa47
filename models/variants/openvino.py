"""The OpenVINO variants: the exported ONNX graph in float32 and bfloat16, and int8 by NNCF. An extra."""

from isobatch.models.spec.words import VariantSpec

ORDER = 35

_OPENVINO, _NNCF = "openvino==2026.4.1", "nncf==3.4.0"

VARIANTS = (
    VariantSpec(
        name="ov-fp32",
        runtime="openvino",
        precision="fp32",
        summary="OpenVINO, float32",
        build="isobatch.models.openvino.build:build_float",
        open="isobatch.models.openvino.runner:open_runner",
        recipe={"hint": "f32"},
        extra="openvino",
        requires=(_OPENVINO,),
    ),
    VariantSpec(
        name="ov-bf16",
        runtime="openvino",
        precision="bf16",
        summary="OpenVINO, float32 weights, computing in bfloat16",
        build="isobatch.models.openvino.build:build_float",
        open="isobatch.models.openvino.runner:open_runner",
        recipe={"hint": "bf16"},
        extra="openvino",
        requires=(_OPENVINO,),
    ),
    VariantSpec(
        name="ov-int8",
        runtime="openvino",
        precision="int8",
        summary="OpenVINO, static int8 by NNCF",
        build="isobatch.models.openvino.build:build_int8",
        open="isobatch.models.openvino.runner:open_runner",
        recipe={
            "hint": "f32",
            "weights": {"type": "int8", "granularity": "per-channel", "symmetric": True},
            "activations": {"type": "int8 or uint8", "granularity": "per-tensor", "symmetric": "where signed"},
            "logits": "float32",
        },
        calibrated=True,
        extra="openvino",
        requires=(_OPENVINO, _NNCF),
    ),
)
