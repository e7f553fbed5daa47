"""How often a variant gives the reference's answer: with labels or without, so that no destroyed answer goes unseen."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.statistics import rate_lower, rate_upper
from isobatch.pipeline.records.study import Agreement, Policy, VariantResult
from isobatch.pipeline.records.wording import Toward, listed, number, percent, together

AgreementDecision = Literal["met", "missed", "undecided"]
_ROUNDING = 1e-9  # 9 of 125 are 7.2 %, and 7.2 / 100 is more


@dataclass
class Answers:
    """The answers of one variant beside the reference's, as they are gathered image by image."""

    reference: str
    same: list[bool] = field(default_factory=list)
    clusters: list[Hashable] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def add(
        self, source: str, clusters: Iterable[Hashable], reference: NDArray[np.integer], variant: NDArray[np.integer]
    ) -> None:
        """Add the answers [n] of both, as numbers, on the images of one source; ``clusters``: one of each image."""
        self.same += (reference == variant).tolist()
        self.clusters += list(clusters)[: len(variant)]
        self.sources.append(source)

    def record(self) -> Agreement | None:
        """What they come to; None where there is not one answer."""
        if not self.same:
            return None
        record = agreement(self.same, self.clusters, self.reference)
        alike = (
            "" if record.n == record.n_answers else f", copies and crops of one picture count as one (n = {record.n:,})"
        )
        return record.model_copy(update={"counted": listed(self.sources) + alike})


def agreement(same: Sequence[bool], clusters: Sequence[Hashable], reference: str) -> Agreement:
    """The share of agreeing images with its exact one-sided 95 % bounds. One of ``clusters`` for each of ``same``.

    Images of a cluster are no independent evidence: each cluster counts once, as the share of its answers that agree,
    which takes them to be wholly dependent. So the bounds (Clopper and Pearson 1934, at a number of events that need
    not be whole) are on the wide side where they are not. Raises ValueError where there is no image.
    """
    if not same or len(same) != len(clusters):
        raise ValueError(f"{len(same)} answers in {len(clusters)} clusters: give one of each, at least one")
    answers = together(zip(clusters, same, strict=True))
    n = len(answers)
    events = sum(float(sum(answer) / len(answer)) for answer in answers.values())
    events = float(round(events)) if abs(events - round(events)) < 1e-9 else events
    return Agreement(
        share=events / n,
        low95=rate_lower(events, n),
        high95=rate_upper(events, n),
        n=n,
        n_answers=len(same),
        reference=reference,
    )


def decide(record: Agreement, limit_percent: float) -> AgreementDecision:
    """Whether the demand is met: missed where the estimate lies below, met where the 95 % lower bound reaches it."""
    limit = limit_percent / 100 - _ROUNDING
    if record.share < limit:
        return "missed"
    return "met" if record.low95 >= limit else "undecided"


def obstacles(variant: VariantResult, policy: Policy) -> list[str]:
    """What its agreement puts in the variant's way: an answer too often another, or one that nobody compared."""
    if variant.agreement is None:
        return [f"agreement with the reference unknown: {variant.agreement_note}"] if variant.agreement_note else []
    if variant.name == variant.agreement.reference or decide(variant.agreement, policy.min_agreement) != "missed":
        return []
    demanded = f"where {number(policy.min_agreement)} % are demanded"
    return [f"{sentence(variant.agreement)} ({variant.agreement.counted}), {demanded}"]


def sentence(record: Agreement) -> str:
    """``agrees with fp64 on 16 of 16 images, at least 82 %``: the count, and the bound that matters."""
    return f"agrees with {record.reference} on {count(record)} images, {bound(record)}"


def count(record: Agreement) -> str:
    """``16 of 16``; a share where clusters agree in part: ``95.2 % of 4``."""
    events = record.share * record.n
    whole = abs(events - round(events)) < 1e-6
    return f"{round(events):,} of {record.n:,}" if whole else f"{100 * record.share:.3g} % of {record.n:,}"


def bound(record: Agreement, least: str = "at least", most: str = "at most") -> str:
    """The 95 % bound towards the limit that is asked: ``at least 82 %``, or ``at most 20 %`` where few agree."""
    if record.share < 0.5:
        return f"{most} {_percent(record.high95, 'up')}"
    return f"{least} {_percent(record.low95, 'down')}"


def _percent(share: float, toward: Toward) -> str:
    """A bound in whole percents, and with a digit more near either end."""
    return percent(share, 0 if 0.01 < share < 0.985 or share in (0.0, 1.0) else 1, toward)
