"""From comparisons to a verdict: one for each variant and input set, and the worst of them for the variant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.clipping import clipping, largest_clip
from isobatch.pipeline.compare.comparisons import ImageIndices
from isobatch.pipeline.compare.margins import (
    Observation,
    largest_noise,
    leave_one_out,
    margin_screen,
    observations,
    smallest_margins,
    united,
)
from isobatch.pipeline.compare.statistics import rate_upper
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.rows import all_alike, non_finite_rows
from isobatch.pipeline.records.study import (
    VERDICTS,
    Comparison,
    Condition,
    DecidedBy,
    ImagesRun,
    InputsVerdict,
    Margin,
    Verdict,
)
from isobatch.pipeline.records.wording import (
    condition_words,
    counted,
    counted_comparisons,
    number,
    out_of,
    sizes,
    together,
)


@dataclass(frozen=True)
class ConditionTested:
    """One condition's evidence (round 0) of a variant on an input set, and the comparisons made of it.

    Which images a condition ran is a fact of its evidence (``Evidence.images``); conditions may differ in it.
    """

    condition: Condition
    evidence: Evidence
    comparisons: Sequence[Comparison]


def inputs_verdict(tested: Sequence[ConditionTested], n_images: int) -> InputsVerdict | None:
    """The verdict of one variant on one input set over all tested conditions; ``n_images``: distinct by content.

    Not repeatable comes first, then invalid, then what batching did. None where no batch was run beside the singles:
    nothing was compared, so nothing can be said.
    """
    seen = [observation for item in tested for observation in observations(item.evidence, item.condition)]
    made = [comparison for item in tested for comparison in item.comparisons if comparison.kind != "vs-reference"]
    margin = margin_screen(_alone(tested), seen, tested[0].evidence.outcome) if seen else None
    decision = _not_repeatable(made) or _invalid(tested)
    if decision is None and margin is not None:
        decision = _batching(tested, seen, margin, made)
    if decision is None:
        return None
    verdict, decided_by = decision
    if repeatable(made) is None:
        decided_by = decided_by.model_copy(update={"why": f"{decided_by.why} No call was repeated."})
    if fewer := _on_fewer(tested):
        decided_by = decided_by.model_copy(update={"why": f"{decided_by.why} {fewer}"})
    flipped = united(((o.images, o.flipped) for o in seen), np.logical_or)[1] if seen else np.zeros(0)
    flips = min(int(flipped.sum()), n_images)
    clip_layer, clip_share = largest_clip(item.evidence for item in tested) or (None, None)
    return InputsVerdict(
        inputs=tested[0].evidence.inputs,
        verdict=verdict,
        decided_by=decided_by,
        n_images=n_images,
        n_comparisons=len(made),
        top1_flips=flips,
        top1_flip_upper95=rate_upper(flips, n_images),
        margin=None if tested[0].evidence.outcome.kind == "raw" else margin,  # 0 by definition: it screens nothing
        clip_share=clip_share,
        clip_layer=clip_layer,
        images_run=[
            ImagesRun(condition=item.condition, first=item.evidence.span[0], stop=item.evidence.span[1])
            for item in tested
        ],
    )


def images_run(tested: Sequence[ConditionTested]) -> ImageIndices:
    """The images of the set that any condition ran, rising."""
    return np.unique(np.concatenate([tested_set.evidence.images for tested_set in tested]))


def _alone(tested: Sequence[ConditionTested]) -> Iterator[tuple[ImageIndices, NDArray[Any]]]:
    """The images of each condition and their singles, read in turn."""
    return ((tested_set.evidence.images, tested_set.evidence.singles) for tested_set in tested)


def _on_fewer(tested: Sequence[ConditionTested]) -> str:
    """Which conditions ran fewer images than the others, as a sentence; empty where all ran the same."""
    total = len(images_run(tested))
    ran = together((len(item.evidence.images), condition_words(item.condition)) for item in tested)
    return " ".join(
        f"Only {out_of(count, total, 'image', 'were')} run with {'; '.join(names)}."
        for count, names in ran.items()
        if count < total
    )


def worst_verdict(by_inputs: Sequence[InputsVerdict]) -> InputsVerdict | None:
    """The verdict that stands for the variant: the worst, then the one with more flips, then the first. None: none."""
    return max(by_inputs, key=lambda judged: (VERDICTS.index(judged.verdict), judged.top1_flips), default=None)


def repeatable(comparisons: Sequence[Comparison]) -> bool | None:
    """Whether every repeat gave the same bytes; None where no repeat was run."""
    repeats = [comparison.bitwise_equal for comparison in comparisons if comparison.kind == "repeat"]
    return all(repeats) if repeats else None


VerdictDecided = tuple[Verdict, DecidedBy]


def _not_repeatable(made: Sequence[Comparison]) -> VerdictDecided | None:
    unequal = [comparison for comparison in made if comparison.kind == "repeat" and not comparison.bitwise_equal]
    if not unequal:
        return None
    comparison = min(unequal, key=lambda item: item.n_images_equal / max(1, item.n_images))
    why = f"The same call on the same bytes gave other bytes the second time at N = {comparison.batch_size}: "
    if comparison.max_abs is None:
        why += f"the outputs do not even match in number or shape ({', '.join(comparison.issues)})."
    else:
        differing = out_of(comparison.n_images - comparison.n_images_equal, comparison.n_images, "image", "differ")
        why += f"{differing}, by up to {number(comparison.max_abs)}."
    return "not-repeatable", _decided(comparison.inputs, comparison.condition, comparison.batch_size, why)


def _invalid(tested: Sequence[ConditionTested]) -> VerdictDecided | None:
    for item in tested:
        issue = _non_finite(item) or _one_row(item)
        if issue:
            batch_size, why = issue
            return "invalid", _decided(item.evidence.inputs, item.condition, batch_size, why)
    clips = clipping(item.evidence for item in tested)
    return None if clips is None else ("invalid", _decided(tested[0].evidence.inputs, None, None, clips))


def _non_finite(item: ConditionTested) -> tuple[int, str] | None:
    evidence = item.evidence
    bad = len(non_finite_rows(evidence.singles))
    if bad:
        return 1, f"{out_of(bad, len(evidence.singles), 'image', 'have')} NaN or infinite outputs run alone."
    for chosen in evidence.passes:
        bad = len(non_finite_rows(evidence.rows(chosen.id)[1])) if chosen.kind != "singles" else 0
        if bad:
            where = condition_words(item.condition)
            n = chosen.batch_size
            return (
                n,
                f"{out_of(bad, len(chosen.images), 'image', 'have')} NaN or infinite outputs at N = {n} ({where}).",
            )
    return None


def _one_row(item: ConditionTested) -> tuple[int, str] | None:
    singles = item.evidence.singles
    if not all_alike(singles):
        return None
    return 1, f"All {counted(len(singles), 'image')} have one and the same output row: a constant proves nothing."


def _batching(
    tested: Sequence[ConditionTested], seen: Sequence[Observation], margin: Margin, made: Sequence[Comparison]
) -> VerdictDecided:
    inputs = tested[0].evidence.inputs
    tried = sizes(o.batch_size for o in seen)
    n_images = counted(int(united(((o.images, o.seen) for o in seen), np.logical_or)[1].sum()), "image")
    changed = [o for o in seen if o.differs.any()]
    if not changed:
        repeats = sum(comparison.kind == "repeat" for comparison in made)
        evidence = counted_comparisons(len(made) - repeats, repeats)
        why = f"All bytes of {n_images} are those of their singles at {tried} ({evidence})."
        return "batch-invariant", _decided(inputs, None, None, why)
    noted = max(changed, key=lambda item: (int(item.flipped.sum()), item.largest, int(item.differs.sum())))
    total, far = int(noted.seen.sum()), number(noted.largest)
    extent = f"{out_of(int(noted.differs.sum()), total, 'image', 'differ')} from the singles by up to {far}" + (
        f" before the {through}" if (through := tested[0].evidence.outcome.through) else ""
    )
    where = f"At N = {noted.batch_size} ({condition_words(noted.condition)})"
    word = tested[0].evidence.outcome.word
    short = "top-1" if word == "top-1 class" else word
    if noted.flipped.any():
        why = f"{where} the {word} of {out_of(int(noted.flipped.sum()), total, 'image')} changed; {extent}."
        return "batch-variant", _decided(inputs, noted.condition, noted.batch_size, why)
    if margin.exposed_images:
        why = f"{where} {extent}; no {short} changed at {tried}, but {_exposure(tested, seen, margin)}."
        return "batch-variant", _decided(inputs, noted.condition, noted.batch_size, why)
    why = (
        f"{where} {extent}, the most of any N or condition; no {short} changed at {tried}, and every margin is more "
        "than twice the noise seen on the other images."
    )
    return "top1-stable", _decided(inputs, noted.condition, noted.batch_size, why)


def _exposure(tested: Sequence[ConditionTested], seen: Sequence[Observation], margin: Margin) -> str:
    """The exposed images, and the one of the smallest margin by number."""
    images, margins = smallest_margins(_alone(tested), tested[0].evidence.outcome)
    if len(margins) == 1:
        return "with one image there are no others to estimate the noise from"
    exposed = np.searchsorted(images, margin.exposed_images)
    at = int(exposed[np.argmin(margins[exposed])])
    noise = float(leave_one_out(largest_noise(images, seen))[at])
    return (
        f"{out_of(len(exposed), len(margins), 'image')} could: the margin of image {images[at]} is "
        f"{number(float(margins[at]))}, within twice the {number(noise)} seen on the others"
    )


def _decided(inputs: str, condition: Condition | None, batch_size: int | None, why: str) -> DecidedBy:
    return DecidedBy(inputs=inputs, condition=condition, batch_size=batch_size, why=why)
