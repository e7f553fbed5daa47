"""How fast a variant or a repaired one is, as the report shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isobatch.pipeline.decide.repaired_variants import scaled
from isobatch.pipeline.records.study import (
    Interval,
    Study,
    VariantResult,
)
from isobatch.reports.views import Repaired, candidates, choice


@dataclass(frozen=True)
class Speed:
    """The throughput in images a second of what is called ``name``, at the N where its median is highest."""

    name: str
    variant: VariantResult
    batch_size: int
    interval: Interval


def best_throughput(found: VariantResult | Repaired | None) -> Speed | None:
    """The throughput at its best N; None where there is no variant or no positive finite measurement.

    That of a repaired variant is its native one times the measured ratio, limits by limits.
    """
    if found is None:
        return None
    variant, times = (found.variant, _repaired_times(found)) if isinstance(found, Repaired) else (found, _times(found))
    timed = [Speed(found.name, variant, int(n), time) for n, time in times.items() if 0 < time.median < math.inf]
    return max(timed, key=lambda speed: speed.interval.median, default=None)


def _times(variant: VariantResult) -> dict[str, Interval]:
    return variant.cost.throughput_img_s if variant.cost else {}


def _repaired_times(found: Repaired) -> dict[str, Interval]:
    native, ratios = _times(found.variant), found.repair.throughput_ratio
    return {n: scaled(native[n], ratio) for n, ratio in ratios.items() if n in native}


def chosen_throughput(study: Study) -> Speed | None:
    """The throughput of what is recommended, be it a variant or a repaired one: by the race, if it was raced."""
    chosen = choice(study)
    work = study.recommendation.at_work if study.recommendation else None
    if chosen is None or work is None:
        return best_throughput(chosen)
    variant = chosen.variant if isinstance(chosen, Repaired) else chosen
    return Speed(chosen.name, variant, work.batch_size, work.throughput_img_s)


def fastest(study: Study) -> VariantResult | None:
    """The candidate with the highest throughput at its best N whose outputs can be used at all."""
    usable = [v for v in candidates(study) if v.verdict not in ("invalid", "not-repeatable")]
    timed = [speed for v in usable if (speed := best_throughput(v)) is not None]
    best = max(timed, key=lambda speed: speed.interval.median, default=None)
    return best.variant if best else None
