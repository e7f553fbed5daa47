"""The one door to torchvision.

torchvision's wheel is built against CUDA's torch. With a CPU-only torch its extension cannot load, and the import then
dies with "operator torchvision::nms does not exist", because fake kernels are registered for operators that nobody
defined. Defining the two schemas first cures it; calling them still fails, and no classifier does. Nor does it load
torch's compiler, as it would.
"""

from isobatch.models.spec.templates.network_torchvision import compiler_later, operators_defined

# The definitions live as long as this object: dropping it would take the operators away again.
_LIBRARY = operators_defined()

STUBBED: bool = _LIBRARY is not None
"""True where torchvision's extension could not load and the schemas of `nms` and `qnms` were defined in its place."""

with compiler_later():
    import torchvision  # the schemas must exist before

__all__ = ["STUBBED", "torchvision"]
