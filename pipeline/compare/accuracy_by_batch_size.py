"""Does the accuracy depend on the batch size? From stored rows of labelled images; no network runs for it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.accuracy import accuracy
from isobatch.pipeline.compare.comparisons import against_singles, batch_sizes
from isobatch.pipeline.compare.statistics import ALPHA, change_interval, holm, mcnemar_p, rate_upper
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.outcomes import decided
from isobatch.pipeline.records.study import AccuracyAtN, BatchAccuracy, Condition, Dependence, Study, VariantResult

Indices = NDArray[np.int64]

SEVERITY: tuple[Dependence | None, ...] = ("no", "equivalent", None, "undecided", "not-equivalent")
"""From best to worst; None: a top-1 changed, and no margin was given."""


def batch_accuracy(
    evidence: Evidence, condition: Condition, labels: Indices, contents: Indices, margin_points: float | None
) -> BatchAccuracy | None:
    """The accuracy at each N beside the same images' singles; None where no batch was run.

    ``labels`` and ``contents`` are int64 [images of the set]: the class, and a number that copies of one image share.
    Of copies one counts: one whose top-1 changed, where there is such a one. ``margin_points``: see
    ``decide_dependence``.
    """
    sizes = batch_sizes(evidence, "batched")
    if not sizes:
        return None
    run, alone = evidence.images, decided(evidence.singles, evidence.outcome)
    changed_anywhere = np.zeros(len(labels), dtype=np.bool_)
    at_sizes = []
    for n in sizes:
        pairs = against_singles(evidence, n)
        before, after = (decided(rows, evidence.outcome) for rows in (pairs.reference, pairs.candidate))
        changed_anywhere[pairs.images] |= before != after
        kept = _one_of_each(contents[pairs.images], before != after)
        at_sizes.append(_at(n, before[kept], after[kept], labels[pairs.images[kept]]))
    corrected = holm([at_n.mcnemar_p for at_n in at_sizes])
    kept = _one_of_each(contents[run], changed_anywhere[run])
    changed = int(changed_anywhere[run[kept]].sum())
    return decide_dependence(
        BatchAccuracy(
            inputs=evidence.inputs,
            condition=condition,
            singles=accuracy(alone[kept], labels[run[kept]], evidence.inputs, 1),
            at=[at_n.model_copy(update={"mcnemar_holm": p}) for at_n, p in zip(at_sizes, corrected, strict=True)],
            changed=changed,
            changed_upper95=rate_upper(changed, len(kept)),
        ),
        margin_points,
    )


def decide_dependence(record: BatchAccuracy, margin_points: float | None) -> BatchAccuracy:
    """The same counts, decided against a margin in points of top-1.

    no: no top-1 changed, and the 95 % bound on the share that would lies within the margin.
    equivalent: at every N the 95 % interval of the change lies within the
    margin (every one must, so their number needs no correction). not-equivalent: at some N the interval lies wholly
    beyond it, its level corrected for the number of N (Bonferroni). A p-value decides nothing.
    """
    depends: Dependence | None
    if margin_points is None:
        depends = None
    elif not record.changed:
        depends = "no" if record.changed_upper95 <= margin_points / 100 else "undecided"
    else:
        margin = margin_points / 100
        strict = [
            change_interval(at_n.only_singles_right, at_n.only_batched_right, at_n.n, ALPHA / len(record.at))
            for at_n in record.at
        ]
        if all(-margin <= at_n.change_low95 and at_n.change_high95 <= margin for at_n in record.at):
            depends = "equivalent"
        else:
            beyond = any(low > margin or high < -margin for low, high in strict)
            depends = "not-equivalent" if beyond else "undecided"
    return record.model_copy(update={"margin_points": margin_points, "depends": depends})


def worst_dependence(variant: VariantResult) -> BatchAccuracy | None:
    """The set and condition under which the variant's accuracy depends most on N: worst, then most images changed."""
    every = variant.batch_accuracy or []
    return max(
        every, key=lambda record: (SEVERITY.index(record.depends), record.changed / record.singles.n), default=None
    )


def decided_again(study: Study, margin_points: float) -> Study:
    """The study with every dependence decided against this margin."""
    variants = []
    for variant in study.variants:
        every = variant.batch_accuracy
        again = None if every is None else [decide_dependence(known, margin_points) for known in every]
        variants.append(variant.model_copy(update={"batch_accuracy": again}))
    decided = study.recommendation
    if decided is not None:
        policy = decided.policy.model_copy(update={"equivalence_margin": margin_points})
        decided = decided.model_copy(update={"policy": policy})
    return study.model_copy(update={"variants": variants, "recommendation": decided})


def content_numbers(digests: Iterable[bytes]) -> Indices:
    """For each image the place of the first one of its content, int64 [n]."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(content, at) for at, content in enumerate(digests)], dtype=np.int64)


def _one_of_each(contents: Indices, changed: NDArray[np.bool_]) -> Indices:
    """The places of one image of each content, ascending: a changed one where there is one, else the first."""
    order = np.lexsort((~changed, contents))
    return np.sort(order[np.flatnonzero(np.diff(contents[order], prepend=-1))])


def _at(batch_size: int, before: Indices, after: Indices, labels: Indices) -> AccuracyAtN:
    n = len(labels)
    right_before, right_after = before == labels, after == labels
    lost, gained = int((right_before & ~right_after).sum()), int((right_after & ~right_before).sum())
    changed = int((before != after).sum())
    low, high = change_interval(lost, gained, n)
    p = mcnemar_p(lost, gained)
    return AccuracyAtN(
        batch_size=batch_size,
        n=n,
        top1=float(right_after.mean()),
        changed=changed,
        changed_upper95=rate_upper(changed, n),
        only_singles_right=lost,
        only_batched_right=gained,
        change=(gained - lost) / n,
        change_low95=low,
        change_high95=high,
        mcnemar_p=p,
        mcnemar_holm=p,
    )
