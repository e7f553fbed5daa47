"""Over which N the choice was verified: what that leaves of its verdict, and what may be said."""

from collections.abc import Sequence
from typing import Any

from isobatch.pipeline.decide.repaired_variants import native_and_rung
from isobatch.pipeline.records.study import DecidedBy, Range, RangeFailure, VariantResult
from isobatch.pipeline.records.wording import counted, listed, sizes, together

_KINDS = {"batch": "a batch of images", "copies": "copies of one image", "ties": "rounding ties"}
_CLAIMS = {"same-bytes": "Same bytes", "same-top1": "Same top-1"}


def holds_to(asked: Sequence[int], run: Sequence[int], failed: Sequence[int]) -> int:
    """The largest N asked up to which every N asked was run and none failed; 1 where there is none."""
    largest = 1
    for n in sorted(asked):
        if n not in run or n in failed:
            break
        largest = n
    return largest


def as_shipped(variant: VariantResult) -> VariantResult:
    """The variant as its range leaves it. A failure inside what is shipped, at an N up to the recommended one, is its
    verdict; beyond a failure no N is open to it.
    """
    tested, cost = variant.range, variant.cost
    if tested is None or not tested.failures:
        return variant
    within = [failure for failure in tested.failures if failure.batch_size <= tested.batch_size]
    if not within:
        kept = {n: speed for n, speed in cost.throughput_img_s.items() if int(n) <= tested.to} if cost else {}
        return variant.model_copy(update={"cost": cost and cost.model_copy(update={"throughput_img_s": kept})})
    why = (
        f"verified at every N it fails inside what is shipped (up to N = {tested.batch_size}, {_setting(tested)}): "
        f"{_failures(within)}"
    )
    turned = any(failure.flipped or failure.kind == "ties" for failure in within)  # of ties no answer was looked at
    shown: dict[str, Any] = {
        "verdict": "batch-variant" if turned else "top1-stable",
        "decided_by": DecidedBy(inputs=tested.inputs, why=why),
    }
    return variant.model_copy(update=shown)


def range_words(tested: Range) -> str:
    """The range in a sentence: ``Same bytes at every N from 1 to 32, 2 threads, 224 x 224.``; then where it ends."""
    if tested.to == 1:
        return f"Nothing beyond N = 1, {_setting(tested)}{_end(tested)}."
    verified = [n for n in tested.sizes if 1 < n <= tested.to]
    every = verified == list(range(2, tested.to + 1))
    at = f"every N from 1 to {tested.to}" if every else sizes([1, *verified])
    return f"{_CLAIMS[tested.claim]} at {at}, {_setting(tested)}{_end(tested)}."


def range_details(verified: Range) -> str:
    """What the range rests on, in a sentence or two: images, comparisons, ties."""
    with_ = verified.filled_with
    parts = [f"{counted(with_.own, 'image')} of {verified.inputs}"]
    if with_.labelled:
        parts.append(counted(with_.labelled, "labelled image"))
    if with_.drawn:
        parts.append(f"{with_.drawn} drawn at random, as there were too few to fill the largest batch")
    made = counted(verified.n_comparisons, "comparison")
    text = (
        f"{made} with the images alone, at each N of a batch of distinct images and of copies of one; {listed(parts)}."
    )
    if verified.ties is not None and verified.ties.to > 1:
        text += (
            f" {counted(verified.ties.layers, 'integer layer')} placed on rounding ties up to N = {verified.ties.to}: "
            f"{counted(verified.ties.elements, 'element')} compared."
        )
    elif verified.ties is not None:
        text += " Rounding ties of its integer layers were not reached in time."
    return text


def range_warnings(verified: Range | None) -> list[str]:
    """What a user must know at once where the range is shorter than asked, or than what is recommended."""
    if verified is None or verified.to >= max([*verified.sizes, verified.batch_size]):
        return []
    text = range_words(verified)
    if verified.to >= verified.batch_size:
        return [f"{text} The shipped loader splits larger calls."]
    if any(failure.batch_size <= verified.batch_size for failure in verified.failures):
        return [text]
    return [f"{text} N = {verified.batch_size}, which is recommended, was compared on the images of the study only."]


def with_range(variants: Sequence[VariantResult], name: str, verified: Range) -> list[VariantResult]:
    """The variants, that of this name with its range; of a repaired self, such as ``fp32+surgical``, its repair."""
    native, rung = native_and_rung(name)
    result = []
    for variant in variants:
        if variant.name == native and not rung:
            variant = variant.model_copy(update={"range": verified})
        elif variant.name == native:
            repairs = [r.model_copy(update={"range": verified}) if r.name == rung else r for r in variant.repairs or ()]
            variant = variant.model_copy(update={"repairs": repairs})
        result.append(variant)
    return result


def _setting(tested: Range) -> str:
    sides = [" x ".join(map(str, tested.image_size))] if tested.image_size else []
    return ", ".join([counted(tested.threads, "thread"), *sides])


def _end(tested: Range) -> str:
    """Why it goes no further; empty where it reached all that was asked."""
    if tested.failed_at:
        first = [failure for failure in tested.failures if failure.batch_size == min(tested.failed_at)]
        return f"; not beyond: {_failures(first)}"
    return f"; not beyond: {tested.stopped}" if tested.stopped else ""


def _failures(failures: Sequence[RangeFailure]) -> str:
    by_kind = together((failure.kind, failure.batch_size) for failure in failures)
    return "; ".join(f"{_KINDS[kind]} at {sizes(failed)}" for kind, failed in by_kind.items())
