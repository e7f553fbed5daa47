"""The variants that torch.compile makes: Inductor's code for the CPU, by a C++ compiler.

An extra, and by name only: every worker that opens one compiles for a while, which would double the time of ``all``.
"""

from isobatch.models.spec.words import VariantSpec

ORDER = 15

_BUILD = "isobatch.models.pytorch.compiled:build"
_OPEN = "isobatch.models.pytorch.compiled:open_runner"
_COMPILER = {"compiler": "Inductor", "freezing": True, "graphs": "one for N = 1, others for more"}

VARIANTS = (
    VariantSpec(
        name="compile-fp32",
        runtime="torch",
        precision="fp32",
        summary="torch.compile, float32: Inductor with frozen weights",
        build=_BUILD,
        open=_OPEN,
        recipe={"weights": {"type": "float32"}, "computed_in": "float32", **_COMPILER},
        extra="compile",
        optional=True,
        compiled=True,
    ),
    VariantSpec(
        name="compile-bf16",
        runtime="torch",
        precision="bf16",
        summary="torch.compile, bfloat16: Inductor with frozen weights",
        build=_BUILD,
        open=_OPEN,
        recipe={
            "weights": {"type": "bfloat16"},
            "computed_in": "bfloat16",
            "memory_format": "channels_last",
            **_COMPILER,
        },
        native_isa=("avx512_bf16", "amx_bf16"),  # without either nothing is compiled
        extra="compile",
        optional=True,
        compiled=True,
    ),
)
