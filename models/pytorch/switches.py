"""torch's documented determinism switches: turned for a while, and read back from the libraries."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

ReadBack = Callable[[Any], dict[str, str]]
"""From the live runner to what is in effect, by what it is called."""

_CBWR_ALL, _CBWR_STRICT = -1, 0x10000  # of mkl_types.h, as are the branches
_CBWR = {1: "off", 2: "AUTO", 3: "COMPATIBLE", 4: "SSE2", 6: "SSSE3", 7: "SSE4_1", 8: "SSE4_2", 9: "AVX", 10: "AVX2"}
_CBWR |= {11: "AVX512_MIC", 12: "AVX512", 13: "AVX512_MIC_E1", 14: "AVX512_E1"}

COMPILE_DYNAMIC: ContextVar[bool | None] = ContextVar("compile_dynamic", default=None)
"""``dynamic`` of ``torch.compile``, of networks that are compiled meanwhile; None: as is shipped."""


@contextmanager
def turned(options: dict[str, Any]) -> Iterator[ReadBack]:
    """Inside this block torch's own switches are as asked. Keys: ``deterministic_algorithms``, ``mkldnn``,
    ``mkldnn_deterministic`` (on or off), ``matmul_precision`` (a word) and, of networks that are compiled meanwhile,
    ``compile_dynamic``.
    """
    with ExitStack() as stack:
        for key, name in (("mkldnn", "enabled"), ("mkldnn_deterministic", "deterministic")):
            if key in options:
                stack.callback(setattr, torch.backends.mkldnn, name, getattr(torch.backends.mkldnn, name))
                setattr(torch.backends.mkldnn, name, options[key])
        if "deterministic_algorithms" in options:
            before = torch.are_deterministic_algorithms_enabled()
            stack.callback(torch.use_deterministic_algorithms, before)
            torch.use_deterministic_algorithms(options["deterministic_algorithms"])
        if "matmul_precision" in options:
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision(options["matmul_precision"])
        if "compile_dynamic" in options:
            stack.callback(COMPILE_DYNAMIC.reset, COMPILE_DYNAMIC.set(options["compile_dynamic"]))
        yield read_back


def read_back(runner: Any = None) -> dict[str, str]:
    """What is in effect now, by torch's and MKL's own word; oneDNN's math mode is told to nobody."""
    in_effect = {
        "deterministic algorithms": _on(torch.are_deterministic_algorithms_enabled()),
        "oneDNN": _on(torch.backends.mkldnn.enabled),
        "oneDNN deterministic": _on(torch.backends.mkldnn.deterministic),
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "threads": str(torch.get_num_threads()),
    }
    in_effect |= getattr(runner, "in_effect", dict)()  # a compiled network has more switches
    mode = mkl_mode()
    return in_effect if mode is None else in_effect | {"MKL_CBWR": mode}


def mkl_mode() -> str | None:
    """MKL's conditional numerical reproducibility mode, as MKL_CBWR would state it; None where there is no MKL.

    By ``mkl_cbwr_get(MKL_CBWR_ALL)`` (oneMKL developer reference), in the library that torch's wheel links it into.
    """
    try:
        get = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).mkl_serv_cbwr_get
    except (OSError, AttributeError):
        return None
    code = int(get(_CBWR_ALL))
    branch = _CBWR.get(code & ~_CBWR_STRICT, str(code))
    return f"{branch},STRICT" if code & _CBWR_STRICT else branch


def _on(value: object) -> str:
    return "on" if value else "off"
