"""ISA caps: what they are called, and which variables ask each library for them."""

from collections.abc import Mapping
from dataclasses import dataclass

NATIVE = "native"


@dataclass(frozen=True)
class Cap:
    """One cap."""

    needs: tuple[str, ...]  # processor features without which it cannot be asked for (a library may trust it blindly)
    hides: tuple[str, ...]  # features, in the kernel's words, that code under the cap does not use
    # Read by a library only before its first operation, so they belong to the environment a launcher starts with.
    variables: Mapping[str, str]


_AMX = ("amx_int8", "amx_bf16", "amx_fp16")
_AVX512_MORE = ("avx512_bf16", "avx512_fp16", *_AMX)
_AVX512 = ("avx512f", "avx512_vnni", *_AVX512_MORE)


def _variables(aten: str, onednn: str, mkl: str, fbgemm: str | None) -> dict[str, str]:
    asked = {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}
    return asked if fbgemm is None else asked | {"FBGEMM_ENABLE_INSTRUCTIONS": fbgemm}


# Values: ATen's DispatchStub.cpp; oneDNN's developer guide, "CPU Dispatcher Control"; MKL's developer guide,
# "MKL_ENABLE_INSTRUCTIONS"; FBGEMM's Utils.cc. FBGEMM has no kernels below AVX2; nothing is known for onnxruntime.
CAPS: dict[str, Cap] = {
    NATIVE: Cap((), (), {}),
    "sse4": Cap(("sse4_2",), ("avx2", "avx_vnni", *_AVX512), _variables("default", "SSE41", "SSE4_2", None)),
    "avx2": Cap(("avx2",), ("avx_vnni", *_AVX512), _variables("avx2", "AVX2", "AVX2", "AVX2")),
    "avx512": Cap(
        ("avx512f", "avx512bw", "avx512vl", "avx512dq"),
        ("avx512_vnni", *_AVX512_MORE),
        _variables("avx512", "AVX512_CORE", "AVX512", "AVX512"),
    ),
    "avx512_vnni": Cap(
        ("avx512_vnni",), _AVX512_MORE, _variables("avx512", "AVX512_CORE_VNNI", "AVX512_E1", "AVX512_E1")
    ),
}


def flags_under(isa: str, flags: frozenset[str]) -> frozenset[str]:
    """The processor features that code under the cap still uses."""
    return flags.difference(CAPS[isa].hides)


LIBRARIES = {
    "torch": ("torch", "oneDNN", "MKL", "FBGEMM"),
    "onnxruntime": ("onnxruntime",),
    "openvino": (),  # none of these variables is known to reach it
}
"""By runtime: the libraries, as ``isa_probe.probe`` names them, whose kernels a variant of that runtime may run."""
