"""torch's newer int8 path, which needs a package of its own."""

from isobatch.models.spec.words import VariantSpec

ORDER = 25

VARIANTS = (
    VariantSpec(
        name="int8-pt2e",
        runtime="torch",
        precision="int8",
        summary="torch, static int8 by torchao's PT2E, lowered to oneDNN for each batch size",
        build="isobatch.models.pytorch.pt2e:build",
        open="isobatch.models.pytorch.pt2e:open_runner",
        recipe={
            "weights": {"type": "int8", "granularity": "per-channel", "symmetric": True},
            "activations": {"type": "uint8", "granularity": "per-tensor", "symmetric": False},
            "observer": "HistogramObserver",
            "quantizer": "X86InductorQuantizer",
            "reduce_range": False,
            "logits": "float32",
        },
        optional=True,
        calibrated=True,
        requires=("torchao==0.18.0",),
    ),
)
