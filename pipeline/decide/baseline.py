"""Whether the reference itself answers as the labels say: where it does not, no drop against it means anything."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.statistics import ALPHA, holm, mcnemar_p, rate_interval, rate_upper
from isobatch.pipeline.records.study import Baseline, ClassOrder
from isobatch.pipeline.records.wording import counted, listed, percent

Classes = NDArray[np.int64]

AS_TEXT, AS_NUMBERS = "sorted as text", "sorted as numbers"
ALL_AS_TEXT = "sorted as text among all classes, of which some have no folder"
ONE_LESS, ONE_MORE = "counted from one", "counted from minus one"
_REMEDY = {
    AS_TEXT: "torchvision's ImageFolder sorts folders as text, 1, 10, 11, 2: --class-order text",
    ALL_AS_TEXT: "ImageFolder's order again: make the missing folders, empty, and --class-order text",
    AS_NUMBERS: "the folders' numbers are the classes' order and not their index: --class-order number",
    ONE_LESS: "the folders count from 1 where the network counts from 0: --class-order number",
    ONE_MORE: "the network has a class before the first of these labels, a background perhaps",
}

_PIXELS = "The preprocessing: the network may expect other pixels than these (0 to 255, 0 to 1, another mean, BGR)."
_VALUES = "The inputs: the network may expect other values than these (another scale, another tokenizer or padding)."


def least_top1(classes: int) -> float:
    """The top-1 that a reference must be able to have: three times chance, 3 / ``classes``.

    With fewer than nine classes that leaves no room (1.0 with three of them): there, a quarter of the way from chance
    to certainty.
    """
    chance = 1 / classes
    return chance + min(2 * chance, (1 - chance) / 4)


def check_baseline(variant: str, predicted: Classes, labels: Classes, classes: int, pictures: bool = True) -> Baseline:
    """The reference's own singles, int64 [n], against the labels [n]. ``classes``: how many outputs the network has;
    ``pictures``: whether it takes them, or other arrays."""
    right = predicted == labels
    hits, n = int(right.sum()), len(right)
    low, high = rate_interval(hits, n)
    least, orders = least_top1(classes), _orders(predicted, labels, classes)
    at_chance = rate_upper(hits, n) < least
    better = [order for order in orders if order.right > hits and order.mcnemar_p < ALPHA]
    reasons = []
    if better:
        best = max(better, key=lambda other_order: other_order.right)
        reasons.append(
            f"The order of the classes: with the labels {best.name} it is right on {best.right:,} of {n:,} images, "
            f"as they are on {hits:,} ({_REMEDY[best.name]})."
        )
    if at_chance and not better:
        tried = f" (tried, and no better: {listed(order.name for order in orders)})" if orders else ""
        reasons.append(_PIXELS if pictures else _VALUES)
        reasons.append(f"The labels: another order of the classes{tried}, or weights of another network.")
    failed = None
    if at_chance or better:
        what = "near chance" if at_chance else "better explained by another order of the classes"
        failed = (
            f"{variant} itself is {what}: {percent(hits / n)} right on {counted(n, 'labelled image')} of "
            f"{classes:,} classes"
        )
    return Baseline(
        variant=variant,
        top1=hits / n,
        low95=low,
        high95=high,
        n=n,
        classes=classes,
        least=least,
        orders=orders,
        failed=failed,
        reasons=reasons,
    )


def _orders(predicted: Classes, labels: Classes, classes: int) -> list[ClassOrder]:
    """Every other order that these labels could be meant in, with its paired test against them as they are."""
    known = sorted({int(label) for label in labels})
    first = min(known[0], 1)
    meant = {
        AS_TEXT: _ranks(sorted(known, key=str)),
        ALL_AS_TEXT: _ranks(sorted({*range(first, first + classes), *known}, key=str)),
        AS_NUMBERS: _ranks(known),
        ONE_LESS: {label: label - 1 for label in known},
        ONE_MORE: {label: label + 1 for label in known},
    }
    right = predicted == labels
    fits: list[tuple[str, int, float]] = []
    seen = [{label: label for label in known}]
    for name, order in meant.items():
        order = {label: order[label] for label in known}
        if order in seen:
            continue
        seen.append(order)
        other = predicted == np.array([order[int(label)] for label in labels], dtype=np.int64)
        fits.append((name, int(other.sum()), mcnemar_p(int((right & ~other).sum()), int((other & ~right).sum()))))
    corrected = holm([p for _, _, p in fits])
    return [ClassOrder(name=name, right=hits, mcnemar_p=p) for (name, hits, _), p in zip(fits, corrected, strict=True)]


def _ranks(order: Sequence[int]) -> dict[int, int]:
    return {label: rank for rank, label in enumerate(order)}
