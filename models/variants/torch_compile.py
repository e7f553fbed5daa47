"""The variants that torch.compile makes: Inductor's code for the CPU, by a C++ compiler.

An extra, and by name only: every worker that opens one compiles for a while, which would double the time of ``all``.
"""

from functools import partial

from isobatch.models.spec.words import Family, VariantSpec

_torch = partial(
    VariantSpec,
    runtime="torch",
    build="isobatch.models.pytorch.compiled:build",
    open="isobatch.models.pytorch.compiled:open_runner",
    extra="compile",
    optional=True,
    compiled=True,
)
_COMPILER = {"compiler": "Inductor", "freezing": True, "graphs": "one for N = 1, others for more"}

VARIANTS = Family(
    _torch(
        name="compile-fp32",
        precision="fp32",
        summary="torch.compile, float32: Inductor with frozen weights",
        recipe={"weights": {"type": "float32"}, "computed_in": "float32", **_COMPILER},
    ),
    _torch(
        name="compile-bf16",
        precision="bf16",
        summary="torch.compile, bfloat16: Inductor with frozen weights",
        recipe={
            "weights": {"type": "bfloat16"},
            "computed_in": "bfloat16",
            "memory_format": "channels_last",
            **_COMPILER,
        },
        native_isa=("avx512_bf16", "amx_bf16"),  # without either nothing is compiled
    ),
    order=15,
)
