"""What a runner may be asked for: the protocols of live engines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.change import Canonical as Canonical  # what runners are asked for
from isobatch.models.spec.words import Effective


@runtime_checkable
class Runner(Protocol):
    """A live engine. Use as a context manager; ``run`` only between enter and exit."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """Logits [n, classes] for float32 NCHW images [n, c, h, w], in the network's own output type.

        bfloat16 comes as ``ml_dtypes.bfloat16``. The array is owned by the caller.
        """

    def effective(self) -> Effective:
        """What really runs here."""


@runtime_checkable
class Clocked(Protocol):
    """A runner whose device keeps its own time and counts its own memory, apart from the host's."""

    def timed(self, images: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        """``run``, and the seconds of the network by the device's clock: copies from and to the host are left out."""

    def device_memory(self) -> dict[str, int]:
        """The most bytes held on the device since opening, by its own counters: ``allocated`` to tensors, ``reserved``.

        Empty where the device has no counters.
        """


@runtime_checkable
class Quantized(Protocol):
    """A runner with quantized activations that can be watched."""

    def clip_counts(self, images: NDArray[np.float32]) -> dict[str, tuple[int, int]]:
        """Per quantized layer how many activations are at a clip limit other than real zero, of how many."""


@dataclass(frozen=True)
class Layer:
    """One leaf of the deployed computation: a module, or a node of the optimised graph."""

    name: str
    kind: str  # conv2d, linear, batch-norm, add, relu, average-pool, max-pool, quantize, dequantize, flatten, ...
    # Layers of one signature run the same kernels on the same shapes (kind, parameters' shapes, stride, types, input
    # shapes of one image); their weights differ.
    signature: str


Rows = tuple[NDArray[Any], ...]
"""The tensors of one call of a layer, batch axis first, in their own types (quantized ones as their integers)."""


@runtime_checkable
class Inspectable(Protocol):
    """A runner whose layers can be watched as deployed and run again alone."""

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        """Logits of one deployed run; ``see(layer, inputs, outputs)`` gets copies for each layer, in execution order.

        The logits are bit-equal to ``run``'s, or the caller finds out: nothing is de-optimised to look inside.
        """

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """This layer alone on these inputs, with the kernels and settings of the deployed run."""


@runtime_checkable
class Closed(Protocol):
    """A runner whose layers cannot be looked into without changing what runs."""

    def why_closed(self) -> str:
        """Why not, and what is known of the difference all the same, in words."""


@runtime_checkable
class Compiling(Protocol):
    """A runner that compiles code at the first call of its kind, for a single image in a graph of its own."""

    def compile_for(self, images: NDArray[np.float32]) -> None:
        """Compile now what images of this size need, alone and in batches, so that no later call waits for it."""

    def with_one_graph(self) -> Runner:
        """A second live runner, in whose code the number of images is unknown, used inside this runner's with block."""


WHOLE = ""
"""In place of a layer's name: the network as a whole."""


@runtime_checkable
class Rewritable(Protocol):
    """A runner that can run chosen layers in a canonical shape."""

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Runner:
        """A second live runner of the same weights (shared, not copied) in which these layers follow their rules.

        ``WHOLE``, alone, stands for the whole network.

        Use it inside this runner's with block. Raises KeyError for an unknown layer, VariantUnavailable where a layer
        cannot be rewritten (say why).
        """


@runtime_checkable
class Nested(Protocol):
    """A runner that can watch what stands around its layers too, and tell whether what a layer gives matters."""

    def watch_around(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        """As ``Inspectable.watch``, of the modules that consist of layers and of the network's own forward; inner
        ones first. ``replay`` knows them afterwards.
        """

    def reaches(self, layer: str, images: NDArray[np.float32]) -> bool:
        """Whether the network's result follows from it; True for a layer in which every image has its own rows."""


@runtime_checkable
class Branching(Protocol):
    """A runner that can tell which way control flow went."""

    def other_calls(self, layer: str, inputs: Rows) -> str:
        """How what this layer does for all of these rows differs from what it does for the first alone, in words."""
