"""torch's int8 variants: in eager mode, where the static ones share one calibration, and torchao's newer path."""

from typing import Any

from isobatch.models.spec.words import Family, VariantSpec

_TENSORS: dict[str, Any] = {
    "weights": {"type": "int8", "granularity": "per-channel", "symmetric": True},
    "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
    "observer": "HistogramObserver",
}


def _static(engine: str, reduce_range: bool, summary: str) -> VariantSpec:
    return VariantSpec(
        name=f"int8-{engine}",
        runtime="torch",
        precision="int8",
        summary=summary,
        build="isobatch.models.pytorch.int8.build:build_static",
        open="isobatch.models.pytorch.int8.build:open_static",
        recipe={**_TENSORS, "engine": engine, "reduce_range": reduce_range, "logits": "uint8"},
        calibrated=True,
    )


VARIANTS = Family(
    # reduce_range as in torch's default qconfig of each engine
    _static("fbgemm", True, "torch, static int8 by FBGEMM"),
    _static("x86", True, "torch, static int8, oneDNN or FBGEMM by operation"),
    _static("onednn", False, "torch, static int8 by oneDNN, full 8-bit activations"),
    VariantSpec(
        name="int8-dynamic",
        runtime="torch",
        precision="int8",
        summary="torch, dynamic int8: linear layers only",
        build="isobatch.models.pytorch.int8.build:build_dynamic",
        open="isobatch.models.pytorch.int8.build:open_dynamic",
        recipe={
            "observer": "min and max of the whole batch at run time",
            "weights": {"type": "int8", "granularity": "per-tensor", "symmetric": True},
            "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
            "engine": "x86",
            "reduce_range": True,  # as torch's own module asks of the kernel
            "logits": "float32",
        },
    ),
    VariantSpec(
        name="int8-pt2e",
        runtime="torch",
        precision="int8",
        summary="torch, static int8 by torchao's PT2E, lowered to oneDNN for each batch size",
        build="isobatch.models.pytorch.pt2e:build",
        open="isobatch.models.pytorch.pt2e:open_runner",
        recipe={**_TENSORS, "quantizer": "X86InductorQuantizer", "reduce_range": False, "logits": "float32"},
        optional=True,
        calibrated=True,
        requires=("torchao==0.18.0",),
    ),
    order=20,
)
