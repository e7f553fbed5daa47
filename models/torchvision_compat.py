"""The one door to torchvision.

torchvision's wheel is built against CUDA's torch. With a CPU-only torch its extension cannot load, and the import then
dies with "operator torchvision::nms does not exist", because fake kernels are registered for operators that nobody
defined. Defining the two schemas first cures it; calling them still fails, and no classifier does.
"""

import importlib.util
from pathlib import Path

import torch


def _extension_loads() -> bool:
    """Whether torchvision's own operators can be loaded here; they stay loaded if so."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed; install the packages named in requirements.txt")
    try:
        # the suffix differs between platforms and wheels: _C.so, _C.pyd, _C.cpython-311-x86_64-linux-gnu.so
        for library in sorted(Path(spec.origin).parent.glob("_C.*")):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")


STUBBED: bool = not _extension_loads()
"""True where torchvision's extension could not load and the schemas of `nms` and `qnms` were defined in its place."""

if STUBBED:
    # The definitions live as long as this object: dropping it would take the operators away again.
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for _operator in ("nms", "qnms"):
        _schema = f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        _LIBRARY.define(_schema)  # type: ignore[no-untyped-call]

import torchvision  # noqa: E402  (the schemas must exist before)

__all__ = ["STUBBED", "torchvision"]
