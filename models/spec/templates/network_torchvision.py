"""A part of every shipped network.py: what torchvision needs before it can be imported, and how it is asked."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

# -- from here on: part of every script --

# As torchvision sets them itself when it loads its trained weights: the auxiliary heads serve training only.
WITHOUT_AUXILIARY = {"aux_logits": False, "init_weights": False, "transform_input": True}
OPTIONS = {"googlenet": WITHOUT_AUXILIARY, "inception_v3": WITHOUT_AUXILIARY}
COMPILER = "torch._dynamo.utils"


def operators_defined() -> Any:
    """None where torchvision's own operators can be loaded here; else what defines two of them as long as it lives.

    torchvision's wheel is built against CUDA's torch. With a CPU-only torch its extension cannot load, and the import
    then dies with "operator torchvision::nms does not exist": fake kernels are registered for operators that nobody
    defined. Defining the two schemas first cures it; calling them still fails, and no classifier does.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed; install it beside torch")
    try:
        # the name differs: _C.so, _C.pyd, _C.cpython-311-x86_64-linux-gnu.so, from torchvision 0.29 on _C_stable.so
        for library in sorted(Path(spec.origin).parent.glob("_C*.*")):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError:
        pass
    if hasattr(torch.ops.torchvision, "nms"):
        return None
    definitions = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        if hasattr(torch.ops.torchvision, operator):  # another program in this process has done the same before
            continue
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        definitions.define(schema)  # type: ignore[no-untyped-call]
    return definitions


class Later(ModuleType):
    """Stands where a module belongs until something is wanted of it. A function is wanted when it is called."""

    def is_compile_supported(self, *arguments: Any) -> Any:
        """As the module's own."""
        return self._own().is_compile_supported(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for some
            raise AttributeError(name)
        return getattr(self._own(), name)

    def _own(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


@contextmanager
def compiler_later() -> Iterator[None]:
    """While torchvision is imported: without torch's compiler, which takes nearly as long to load as torch itself.

    torchvision imports it for one question that its detection operators ask when they are called. It is loaded then.
    """
    if COMPILER in sys.modules:
        yield
        return
    later = sys.modules[COMPILER] = Later(COMPILER)
    try:
        yield
    finally:
        if sys.modules.get(COMPILER) is later:
            del sys.modules[COMPILER]
