"""The float variants of torch: one set of weights in four types."""

from functools import partial

from isobatch.models.spec.words import Family, VariantSpec

_torch = partial(
    VariantSpec,
    runtime="torch",
    build="isobatch.models.pytorch.float:build",
    open="isobatch.models.pytorch.float:open_runner",
)
_DEVICES = ("cpu", "cuda")  # the reference stays on the CPU: one for every device

VARIANTS = Family(
    _torch(
        name="fp64",
        precision="fp64",
        summary="torch, float64: the reference that numeric errors are measured against",
        recipe={"weights": {"type": "float32"}, "computed_in": "float64"},
        role="reference",
    ),
    _torch(
        name="fp32",
        precision="fp32",
        summary="torch, float32",
        recipe={"weights": {"type": "float32"}, "computed_in": "float32"},
        devices=_DEVICES,
    ),
    _torch(
        name="fp16",
        precision="fp16",
        summary="torch, float16 weights, activations and logits",
        # On a CPU without fp16 arithmetic torch's own convolution does the work, five times faster in this format at
        # N = 1 and N = 8 alike; nobody would deploy the other.
        recipe={"weights": {"type": "float16"}, "computed_in": "float16", "memory_format": "channels_last"},
        native_isa=("avx512_fp16", "amx_fp16", "asimdhp"),
        devices=_DEVICES,
    ),
    _torch(
        name="bf16",
        precision="bf16",
        summary="torch, bfloat16 weights, activations and logits",
        # The format torch advises for bf16 on CPUs; without bf16 arithmetic the other takes three times as long.
        recipe={"weights": {"type": "bfloat16"}, "computed_in": "bfloat16", "memory_format": "channels_last"},
        # With AVX-512 alone oneDNN widens bf16 in its kernels; below that it converts whole tensors, ten times slower.
        native_isa=("avx512f", "avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"),
        devices=_DEVICES,
    ),
    order=10,
)
