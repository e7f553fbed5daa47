"""Which implementation oneDNN and MKL say they run for one call: their own verbose lines, kept off the terminal."""

import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

_MKL_CALL = re.compile(r"^MKL_VERBOSE (\w+)\(")
_MKL_THREADS = re.compile(r"\bNThr:(\d+)")


def kernels_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
    """The implementations that this call ran, e.g. ``oneDNN convolution, jit:avx2, convolution_direct``.

    Repeated ones once; empty where torch's own kernels, which keep no log, did the work.
    """
    with ExitStack() as stack:
        lines = stack.enter_context(standard_output())
        for library in (torch.backends.mkldnn, torch.backends.mkl):
            if library.is_available():
                stack.enter_context(library.verbose(library.VERBOSE_ON))
        function(*args, **kwargs)
    chosen = _chosen(function, args)
    names = [name for line in lines if (name := _name(line))]
    return tuple(dict.fromkeys([*chosen, *names]))


def _name(line: str) -> str | None:
    """What one line of a log says ran, without times, addresses and sizes."""
    if call := _MKL_CALL.match(line):
        threads = _MKL_THREADS.search(line)
        return f"MKL {call[1]}" + (f" on {threads[1]} thread{'s' * (threads[1] != '1')}" if threads else "")
    fields = line.split(",")
    if not line.startswith(("onednn_verbose", "dnnl_verbose")) or "exec" not in fields:
        return None
    primitive, implementation = fields[fields.index("exec") + 2 : fields.index("exec") + 4]
    if primitive == "reorder":
        return None  # copies into another layout: no arithmetic
    algorithm = next((field.removeprefix("alg:") for field in fields if field.startswith("alg:")), "")
    layouts = next((field for field in fields if field.startswith("src")), "")
    return ", ".join(part for part in (f"oneDNN {primitive}", implementation, algorithm, _layouts(layouts)) if part)


def _layouts(descriptors: str) -> str:
    """``src f32 aBcd8b, wei f32 ABcd8b8a`` from oneDNN's words ``src:f32:a:blocked:aBcd8b::f0 wei:...``."""
    layouts = []
    for words in (descriptor.split(":") for descriptor in descriptors.split()):
        if words[0] in ("src", "wei", "dst") and "blocked" in words[:-1]:
            layouts.append(f"{words[0]} {words[1]} {words[words.index('blocked') + 1]}")
    return ", ".join(layouts)


def _chosen(function: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """The backend that torch sends a convolution to."""
    if not isinstance(function, nn.Conv2d) or isinstance(function.padding, str):
        return []
    layer = function
    geometry = layer.stride, layer.padding, layer.dilation, False, (0, 0), layer.groups, None
    chosen = torch._C._select_conv_backend(args[0], layer.weight, layer.bias, *geometry)
    return [f"torch backend {chosen.name}"]


@contextmanager
def standard_output() -> Iterator[list[str]]:
    """The lines that C code writes to standard output inside the block, there at its end; nobody else sees them."""
    library = ctypes.CDLL(None)
    lines: list[str] = []
    sys.stdout.flush()
    library.fflush(None)
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            library.fflush(None)
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
