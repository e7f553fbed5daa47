"""The instruction set in effect in this worker, library by library: asked of each, or shown by bits and kernel names.

A cap that came too late or is misspelt is ignored in silence, so nothing is believed that was not read back.
"""

import ctypes
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from torch.backends import mkldnn

from isobatch.models.ort.graph import serialized
from isobatch.models.ort.session import open_session
from isobatch.models.pytorch.kernel_log import standard_output

_FBGEMM_SETS = ("any", "AVX2", "AVX-512", "AVX-512 (256 bits)", "AVX-512 VNNI", "AVX-512 VNNI (256 bits)")
"""``fbgemm::inst_set_t`` in order (FBGEMM, Utils.h)."""
_SIDE, _DEPTH = 37, 413  # odd on purpose: kernels of every width have a tail here, where their sums part


def probe(threads: int) -> dict[str, str]:
    """One line per library: what it says is in effect; of MKL and onnxruntime, which cannot tell, the bits they give.

    Lines are comparable between two processes of one machine and thread count: equal lines, no difference seen.
    """
    torch.set_num_threads(threads)
    return {
        **quick(),
        "oneDNN": _onednn(),
        "MKL": f"bits of a product {_bits(_matrix_product())}",
        "onnxruntime": f"bits of a convolution and a product {_bits(_onnxruntime(threads))}",
    }


def quick() -> dict[str, str]:
    """What torch's own kernels and FBGEMM say of themselves: runs no operation."""
    return {"torch": torch.backends.cpu.get_cpu_capability(), "FBGEMM": _fbgemm()}


def _fbgemm() -> str:
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        number = library["_ZN6fbgemm20fbgemmInstructionSetEv"]()
    except (OSError, AttributeError):
        return "cannot tell"
    return _FBGEMM_SETS[number] if number < len(_FBGEMM_SETS) else f"instruction set {number}"


def _onednn() -> str:
    """What oneDNN's verbose mode names: the ISA in effect, and the kernel of a 3 x 3 convolution."""
    if not mkldnn.is_available():  # type: ignore[no-untyped-call]
        return "not built in"
    images, kernel = torch.ones(2, 16, 14, 14), torch.ones(16, 16, 3, 3)
    with (
        standard_output() as lines,
        torch.inference_mode(),
        mkldnn.verbose(mkldnn.VERBOSE_ON),  # type: ignore[no-untyped-call]
    ):
        torch.mkldnn_convolution(images, kernel, None, (1, 1), (1, 1), (1, 1), 1)
    text = "\n".join(lines)
    isa = re.search(r"cpu,isa:([^\n]*)", text)
    kernels = re.search(r"exec,cpu,convolution,([^,]*)", text)
    named = [match.group(1) for match in (isa, kernels) if match]
    return ", ".join(named) or "cannot tell"


def _matrix_product() -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        return np.array(torch.mm(torch.from_numpy(_drawn(_SIDE, _DEPTH)), torch.from_numpy(_drawn(_DEPTH, _SIDE))))


def _onnxruntime(threads: int) -> np.ndarray[Any, Any]:
    weights = {"kernel": _drawn(_SIDE, 16, 3, 3), "matrix": _drawn(_SIDE * 36, _SIDE)}
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["maps"]),
        helper.make_node("Flatten", ["maps"], ["rows"]),
        helper.make_node("MatMul", ["rows", "matrix"], ["out"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, (3, 16, 8, 8))
    (out,) = open_session(serialized(nodes, images, ["out"], weights), threads).run(
        None, {"images": _drawn(3, 16, 8, 8)}
    )
    return np.array(out)


def _drawn(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.Generator(np.random.PCG64(0)).random(shape, np.float32) - np.float32(0.5)


def _bits(values: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:12]
