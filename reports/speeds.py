"""How fast a variant or a repaired one is, as the report shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isobatch.pipeline.decide.contenders import usable
from isobatch.pipeline.decide.prices import at_work
from isobatch.pipeline.records.study import Interval, Policy, Study, VariantResult
from isobatch.reports.views import candidates, choice


@dataclass(frozen=True)
class Speed:
    """The throughput in images a second of what is called ``name``, at the N where its median is highest."""

    name: str
    variant: VariantResult
    batch_size: int
    interval: Interval


def throughput(study: Study, found: VariantResult | None) -> Speed | None:
    """As the race had it, at its N; of what was not raced at the best N of the passes. None where nothing is known."""
    raced = usable(study.race, Policy()).get(found.name) if found else None
    if found is not None and (work := at_work(raced)) is not None:
        return Speed(found.name, found, work.batch_size, work.throughput_img_s)
    return in_passes(found)


def in_passes(found: VariantResult | None) -> Speed | None:
    """The throughput at its best N of the passes; None where there is no variant or no positive finite measurement."""
    times = found.cost.throughput_img_s if found and found.cost else {}
    timed = [Speed(found.name, found, int(n), one) for n, one in times.items() if found and 0 < one.median < math.inf]
    return max(timed, key=lambda speed: speed.interval.median, default=None)


def chosen_throughput(study: Study) -> Speed | None:
    """The throughput of what is recommended, be it a variant or a repaired one: by the race, if it was raced."""
    chosen = choice(study)
    work = study.recommendation.at_work if study.recommendation else None
    if chosen is None or work is None:
        return in_passes(chosen)
    return Speed(chosen.name, chosen, work.batch_size, work.throughput_img_s)


def fastest(study: Study) -> VariantResult | None:
    """The candidate with the highest throughput at its best N whose outputs can be used at all."""
    useful = [v for v in candidates(study) if v.verdict not in ("invalid", "not-repeatable")]
    timed = [speed for v in useful if (speed := throughput(study, v)) is not None]
    best = max(timed, key=lambda speed: speed.interval.median, default=None)
    return best.variant if best else None
