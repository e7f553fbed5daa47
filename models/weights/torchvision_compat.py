"""The one door to torchvision.

torchvision's wheel is built against CUDA's torch. With a CPU-only torch its extension cannot load, and the import then
dies with "operator torchvision::nms does not exist", because fake kernels are registered for operators that nobody
defined. Defining the two schemas first cures it; calling them still fails, and no classifier does.

It also loads torch's compiler, which takes nearly as long as torch itself, for one question that its detection
operators ask when they are called. Here it is loaded when they ask.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from isobatch.models.spec.templates.network_torchvision import operators_defined

# The definitions live as long as this object: dropping it would take the operators away again.
_LIBRARY = operators_defined()

STUBBED: bool = _LIBRARY is not None
"""True where torchvision's extension could not load and the schemas of `nms` and `qnms` were defined in its place."""

_COMPILER = "torch._dynamo.utils"


class _Later(ModuleType):
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
def _compiler_later() -> Iterator[None]:
    if _COMPILER in sys.modules:
        yield
        return
    later = sys.modules[_COMPILER] = _Later(_COMPILER)
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is later:
            del sys.modules[_COMPILER]


with _compiler_later():
    import torchvision  # the schemas must exist before

__all__ = ["STUBBED", "torchvision"]
