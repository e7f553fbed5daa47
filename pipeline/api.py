"""The project in a user's own code: is my network batch-invariant, where does it start, and make it so."""

import time
import warnings
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from numpy.typing import NDArray

from isobatch.models.registry import load
from isobatch.pipeline.config.policy_flags import OBJECTIVES
from isobatch.pipeline.records.wording import counted, listed
from isobatch.pipeline.user.asked import RepairRequest, conditions
from isobatch.pipeline.user.checks import compared
from isobatch.pipeline.user.make import repaired_network
from isobatch.pipeline.user.origins import NoStart, Start, where_it_starts
from isobatch.pipeline.user.progress import ProgressLine
from isobatch.pipeline.user.results import BatchInvariance, BatchSize, CannotRepair, MadeInvariant

__all__ = [
    "RUNGS",
    "BatchInvariance",
    "BatchSize",
    "CannotRepair",
    "MadeInvariant",
    "compare_batch_invariance",
    "make_batch_invariant",
]

RUNGS = ("per-sample-scale", "surgical", "pow2-scale", "pin-shape")
"""Those whose result is a network; the others are ways to serve one."""

SECONDS = 120.0
"""What ``make_batch_invariant`` takes at most, roughly: a step that was begun is ended."""


def compare_batch_invariance(network: Any, inputs: Any, batch_sizes: Iterable[int] | None = None) -> BatchInvariance:
    """Singles against batches of each N (2 to the number of examples by default), byte by byte, output by output.

    ``network``: a torch module, or an ONNX file's path, bytes or ModelProto. A module is run as a copy; one with a
    submodule in training mode as it stands, with a warning. ``inputs``: an array or tensor [n, ...] with n of at least
    2, a tuple of such (positional) or a dict (by keyword). Outputs: a tensor [n, ...], or tuples, dicts and dataclasses
    of such. Raises ValueError or TypeError where one of them cannot be used.
    """
    rows, scope = _examples(inputs, batch_sizes)
    _warn_of_training(network)
    progress = ProgressLine()
    try:
        with load("isobatch.models.user_networks:open_network")(network) as runner:
            return compared(runner, runner.fitted(rows), scope, say=progress).result
    finally:
        progress.end()


def make_batch_invariant(
    network: Any,
    inputs: Any,
    batch_sizes: Iterable[int] | None = None,
    *,
    objective: str = "throughput",
    rungs: Sequence[str] = RUNGS,
    seconds: float = SECONDS,
    image_sizes: Sequence[int] = (),
    threads: Sequence[int] = (),
) -> MadeInvariant:
    """The network repaired by the cheapest rung that holds over the scope, on these inputs, this machine, this thread
    count; and the record that says so. A network that is invariant there already comes back with a record of that.

    ``threads``: it is to hold with each of these numbers of threads; ``image_sizes``: on the images at each of these
    sides too (their own pixels, repeated or left out). What is verified is named in the record.

    Arguments as of ``compare_batch_invariance``. Torch weights are shared with the original, which is not changed. What
    is handed back is itself verified. Within about ``seconds``: what they were too few for is said in ``not_tried``.
    Raises CannotRepair where no rung holds or the network is not repeatable or gives NaN, and ValueError for one with a
    submodule in training mode, an objective that is none of the policy's and a rung that is none of ``RUNGS``.
    """
    rows, scope = _examples(inputs, batch_sizes)
    for what, asked, known in (("objective", (objective,), OBJECTIVES), ("rungs", rungs, RUNGS)):
        if not asked or {*asked} - {*known}:
            raise ValueError(f"{what}={asked if what == 'rungs' else objective!r}: there are {', '.join(known)}")
    if training := _in_training(network):
        raise ValueError(
            f"{_named(training)} in training mode, where outputs depend on the batch or on chance: call .eval() on the "
            "network, then make it batch-invariant"
        )
    every = conditions(rows, image_sizes, threads)
    progress = ProgressLine()
    try:
        deadline = time.monotonic() + seconds
        with load("isobatch.models.pytorch.runner:torch_threads")(every[0].threads):
            return repaired_network(network, RepairRequest(every, scope, objective, rungs, seconds, deadline, progress))
    finally:
        progress.end()


def compared_with_origin(
    network: Any, inputs: Any, batch_sizes: Iterable[int] | None, tolerance: float
) -> tuple[BatchInvariance, Start | NoStart]:
    """The comparison, and of one that is batch-variant beyond ``tolerance`` (relative) its origins: in any other no
    difference between layers means anything.
    """
    rows, scope = _examples(inputs, batch_sizes)
    _warn_of_training(network)
    with load("isobatch.models.user_networks:open_network")(network) as runner:
        rows = runner.fitted(rows)
        result = compared(runner, rows, scope).result
        if result.verdict != "batch-variant" or within(result, tolerance):
            return result, NoStart()
        return result, where_it_starts(runner, rows, result)


def within(result: BatchInvariance, tolerance: float) -> bool:
    """Whether every difference is at most this, over the largest |output|. NaN is not."""
    return tolerance > 0 and all(size.max_abs_relative <= tolerance for size in result.batch_sizes)


def _examples(inputs: Any, batch_sizes: Iterable[int] | None) -> tuple[NDArray[Any], tuple[int, ...]]:
    rows: NDArray[Any] = load("isobatch.models.user_inputs:as_rows")(inputs)
    try:
        asked = range(2, len(rows) + 1) if batch_sizes is None else [*map(index, batch_sizes)]
    except TypeError as error:
        raise TypeError(
            f"batch_sizes={batch_sizes!r} ({error}): give whole numbers, as range(2, 9) or [4, 8]"
        ) from None
    scope = tuple(sorted({n for n in asked if n != 1}))
    if not scope or scope[0] < 2 or scope[-1] > len(rows):
        raise ValueError(
            f"batch sizes {list(scope)} with {counted(len(rows), 'example')}: give numbers from 2 to the number of "
            "examples, which are never repeated to fill a batch"
        )
    return rows, scope


def _in_training(network: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = load("isobatch.models.user_copy:in_training")(network)
    return names


def _named(training: Sequence[str]) -> str:
    names = [f"'{name}'" for name in training[:3]]
    if len(training) > 3:
        return f"{', '.join(names)} and {len(training) - 3} more are"
    return f"{listed(names)} {'is' if len(training) == 1 else 'are'}"


def _warn_of_training(network: Any) -> None:
    if training := _in_training(network):
        warnings.warn(
            f"{_named(training)} in training mode, where outputs depend on the batch or on chance: a copy is measured "
            "as it stands; call .eval() to measure what is deployed",
            UserWarning,
            stacklevel=3,
        )
