"""What the functions for users return, and the errors that they raise."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from isobatch.pipeline.records.study import Real, Record, Repair
from isobatch.pipeline.records.wording import NOT_ALIKE, SIGNED_ZERO, counted, number, out_of, sizes

Verdict = Literal["batch-invariant", "batch-variant", "not-repeatable", "invalid"]


class CannotRepair(Exception):
    """No rung of the ladder makes this network batch-invariant over the scope. The message says what each one did."""


@dataclass(frozen=True)
class Tested:
    """What a verdict was reached on."""

    inputs: str  # of one example, in words
    n_images: int
    threads: int
    batch_sizes: tuple[int, ...]
    # The N of batches that were also rotated, given an outlier neighbour at either end, and filled with one example.
    probed: tuple[int, ...] = ()
    not_tried: tuple[int, ...] = ()  # N of the scope that the time was too short for

    def __str__(self) -> str:
        texts = [f"{counted(self.n_images, 'example')} of {self.inputs}", counted(self.threads, "thread")]
        if self.probed:
            texts.append(f"at {sizes(self.probed)} also rotated, beside outliers and as copies of one")
        if self.not_tried:
            texts.append(f"not tried for want of time: {sizes(self.not_tried)}")
        return ", ".join(texts)


class Origin(Record):
    """A layer whose rows depend on N although its inputs do not."""

    layer: str
    kind: str
    batch_sizes: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.layer} ({self.kind})"


@dataclass(frozen=True)
class BatchSize:
    """The rows of one N against the singles."""

    batch_size: int
    n_images: int
    n_images_equal: int
    max_abs: Real
    max_abs_relative: Real  # over the largest |output| of the singles
    output: str = ""  # the place of the output that differs most
    seen: tuple[str, ...] = ()  # the surroundings in which a row differed
    elements_differing: int = 0  # by their bytes, in all batches of this N
    elements: int = 0  # compared, in all batches of this N
    flips: int | None = None  # images whose largest value moved to another place; None where no output is [n, k] floats


@dataclass(frozen=True)
class BatchInvariance:
    """Whether every example's output bytes are those it gives alone, for every N that was run (``tested``)."""

    verdict: Verdict
    batch_sizes: tuple[BatchSize, ...]
    tested: Tested
    reason: str = ""  # of a verdict that is about no N
    outputs: tuple[str, ...] = ("",)  # the places of the outputs compared
    # Of a batch-variant network the N whose rows are equal to one another, N = 1 among them.
    classes: tuple[tuple[int, ...], ...] = ()

    @property
    def batch_invariant(self) -> bool:
        """All bytes are equal, at every N."""
        return self.verdict == "batch-invariant"

    @property
    def differing(self) -> tuple[BatchSize, ...]:
        """The N at which a row differs from its single."""
        return tuple(size for size in self.batch_sizes if size.n_images_equal < size.n_images)

    def __str__(self) -> str:
        if self.reason:
            return f"{self.verdict}: {self.reason}"
        scope = sizes(size.batch_size for size in self.batch_sizes)
        if self.batch_invariant:
            return f"batch-invariant at {scope}: every output byte is that of the example alone ({self.tested})"
        worst = max(self.differing, key=lambda size: (math.isnan(size.max_abs), size.max_abs))
        return (
            f"not batch-invariant at {sizes(size.batch_size for size in self.differing)} (tried {scope}): "
            f"at N = {worst.batch_size}, "
            f"{out_of(worst.n_images - worst.n_images_equal, worst.n_images, 'example', 'differ')} from the "
            f"singles, {self._how_far(worst)}"
        )

    def _how_far(self, worst: BatchSize) -> str:
        where = f" in output {worst.output!r}" if len(self.outputs) > 1 else ""
        if worst.max_abs == 0:
            size = f"{SIGNED_ZERO}{where}"
        elif math.isnan(worst.max_abs):
            size = f"{NOT_ALIKE}{where}"
        else:
            share = f"{worst.max_abs_relative:.2g} of the largest output"
            size = f"by up to {number(worst.max_abs)}{where} ({share})"
        natural = any(at_size.seen and at_size.seen[0] == NATURAL for at_size in self.batch_sizes)
        seen = dict.fromkeys(what for at_size in self.batch_sizes for what in at_size.seen)
        return size if natural else f"{size}; only {' or '.join(seen)}"


NATURAL = "among the others"


@dataclass(frozen=True, repr=False)
class MadeInvariant:
    """A repaired network (torch module or ONNX ModelProto) and the record of what it is and costs."""

    network: Any
    repair: Repair
    verified: BatchInvariance  # what this very object gave, over what
    not_tried: tuple[str, ...] = ()  # repairs that were left out, and why
    also_verified: tuple[BatchInvariance, ...] = ()  # with other thread counts and image sizes

    def __str__(self) -> str:
        note = f" ({self.repair.note})" if self.repair.note else ""
        return "; ".join([f"{self.repair.name}{note}: {self.verified}", *map(str, self.also_verified)])

    def __repr__(self) -> str:
        return f"MadeInvariant({self})"
