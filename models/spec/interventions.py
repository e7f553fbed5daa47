"""What an examined layer may be asked for: the protocols of interventions."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Rows


@runtime_checkable
class Widened(Protocol):
    """A runner whose layers can be computed in a wider type than the deployed one."""

    def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
        """This layer's operation on these inputs and with its weights, all of them converted to ``kind`` before.

        Raises NotImplementedError for a layer that has no such form, as one of integers.
        """


@dataclass(frozen=True)
class Products:
    """A layer whose output elements are sums of products: of a window of its input with one row of ``weight``.

    ``stride``, ``padding`` and ``dilation``: one number for each axis of the kernel. Outputs are on axis 1 of a
    convolution, on the last otherwise.
    """

    weight: NDArray[Any]  # [outputs, inputs of a group, *kernel], read-only
    bias: NDArray[Any] | None  # [outputs]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    rectified: bool = False  # sums below 0 are replaced by 0


@runtime_checkable
class Probed(Protocol):
    """A runner whose layers can be run with other operands, to find out in which order they add up."""

    def products(self, layer: str) -> Products | None:
        """The operands of this layer; None for one that is no sum of products with a weight."""

    def with_operands(self, layer: str, inputs: Rows, weight: NDArray[Any], bias: NDArray[Any] | None) -> Rows:
        """``replay`` with another weight and bias of the same shapes: the same kernel, and the layer is unchanged."""


@runtime_checkable
class Logged(Protocol):
    """A runner whose libraries say which implementation they run."""

    def kernels(self, layer: str, inputs: Rows) -> tuple[str, ...]:
        """The implementations that ran for this call, in the libraries' own words; empty if they say nothing."""


@runtime_checkable
class Threaded(Protocol):
    """A runner whose layers can be replayed by one thread."""

    def one_thread(self) -> AbstractContextManager[None]:
        """Inside this block ``replay`` uses one thread."""


@runtime_checkable
class Provocable(Protocol):
    """A runner with integer layers whose rare rounding differences can be provoked."""

    def provoke(self, layer: str, batch: int, seed: int) -> tuple[int, int]:
        """(elements that differ between N = 1 and N = ``batch``, elements tried) with every channel of this layer moved
        within 2 ULP of a rounding tie: the same kernels and shapes, other biases. The layer itself is unchanged.
        """


@dataclass(frozen=True)
class Accumulators:
    """What an integer layer sums exactly, and the numbers with which its float epilogue makes codes of that.

    The real value of an output is the sum of ``exact[i] * input_scales[i]``, times ``weight_scales``, plus ``bias``.
    Its code is that value over ``output_scale``, plus ``zero_point``, rounded, and kept within ``low`` to ``high``.
    """

    exact: tuple[NDArray[np.int64], ...]  # [n, channels, ...] each: one of a product, two of an addition
    input_scales: tuple[float, ...]
    input_zero_points: tuple[int, ...]  # already subtracted in ``exact``
    weight_scales: NDArray[np.float64]  # these two can be broadcast to ``exact``
    bias: NDArray[np.float64]
    output_scale: float
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class IntegerCall:
    """Output codes [n, ...] of the same rows run alone and together, and what both were made from."""

    singles: NDArray[Any]
    batched: NDArray[Any]
    accumulators: Accumulators


Crafted = Literal["ties", "middles", "extremes", "tame"]


@runtime_checkable
class Integer(Protocol):
    """A runner with integer layers of fixed scales whose exact sums can be had."""

    def accumulators(self, layer: str, inputs: Rows) -> Accumulators | None:
        """The exact sums of this layer on these rows; None for a layer that is none of integers with fixed scales."""

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        """Rows made for this layer's kernels and shapes, run alone and ``batch`` together; None where there are none.

        ``ties``: as ``Provocable`` has them. ``middles``: the same, half a step away from every tie. ``extremes``:
        inputs of 255 and weights of 127 and -128, scaled so that every exact result lies well inside of the range.
        ``tame``: the same weights, and inputs of 127, so that no two products leave 16 bits.
        """
