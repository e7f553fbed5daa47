"""How fast a variant or a repaired one is, as the report shows it."""

import math
from dataclasses import dataclass, replace

from isobatch.pipeline.decide.contenders import usable
from isobatch.pipeline.decide.prices import at_work
from isobatch.pipeline.records.study import Against, Interval, Policy, Recommendation, Study, VariantResult
from isobatch.reports.numbers import few_calls, real
from isobatch.reports.views import choice, is_repaired, repair_of


def no_faster(decided: Recommendation) -> str:
    """Why stability costs nothing."""
    small = " and is as small" if decided.policy.objective == "size" else ""
    return f"no variant that meets every other demand{small} is shown to be faster"


def shows_loss(paid: Against) -> bool:
    """Whether the choice is shown to be slower than the other: by a race through its limits, else roughly."""
    high = paid.ratio.high95
    return not paid.raced if high is None else high < 1


BY_PASSES = "times seen while outputs were gathered, not by a race"


@dataclass(frozen=True)
class Speed:
    """The throughput in images a second, at the N where its median is highest."""

    batch_size: int
    interval: Interval
    mark: str = ""  # what stands before it: ``rough``


def throughput(study: Study, variant: VariantResult) -> Speed | None:
    """As the race had it, at its N; of what was not raced at the best N of the passes. None where nothing is known."""
    work = at_work(usable(study.race, Policy()).get(variant.name))
    if work:
        return Speed(work.batch_size, work.throughput_img_s)
    speed = in_passes(variant)
    return speed and replace(speed, mark=rough(study, variant, speed.batch_size))


def in_passes(variant: VariantResult, batch_size: int | None = None) -> Speed | None:
    """The throughput in the passes, at this N or else at its best one; None without a positive finite measurement."""
    times = variant.cost.throughput_img_s if variant.cost else {}
    timed = [Speed(int(n), i) for n, i in times.items() if 0 < i.median < math.inf]
    asked = [speed for speed in timed if speed.batch_size == batch_size]
    return max(asked or timed, key=lambda speed: speed.interval.median, default=None)


def chosen_throughput(study: Study) -> Speed | None:
    """The throughput of what is recommended, or of its repaired self, at its N: by the race, if it was raced."""
    chosen, decided = choice(study), study.recommendation
    if chosen is None or decided is None:
        return None
    if decided.at_work is None:
        return in_passes(chosen, decided.batch_size)
    return Speed(decided.at_work.batch_size, decided.at_work.throughput_img_s)


def latency_ms(study: Study, variant: VariantResult) -> float | None:
    """Median milliseconds of a call of a single image: of a race at N = 1, else in the passes."""
    in_race, cost = _raced_single_ms(study, variant), variant.cost
    return cost.latency_ms.median if in_race is None and cost and cost.latency_ms else in_race


def single_ms(study: Study, variant: VariantResult) -> str | None:
    """``latency_ms`` in words, marked as ``rough`` has it where no race gave it."""
    if (known := latency_ms(study, variant)) is None:
        return None
    mark = rough(study, variant, 1) if _raced_single_ms(study, variant) is None else ""
    return f"{mark}{real(known, 3)}"


def _raced_single_ms(study: Study, variant: VariantResult) -> float | None:
    work = at_work(usable(study.race, Policy(objective="latency")).get(variant.name))
    return work.call_ms.median.value if work else None


_FEW = "of too few calls for limits"


def roughly(study: Study) -> str:
    """What ``~`` before a time means in this study."""
    return f"not raced but seen while outputs were gathered, or {_FEW}" if study.race is not None else _FEW


"""What ``~`` before a time means."""


def rough(study: Study, variant: VariantResult, batch_size: int) -> str:
    """``~`` where its time in the passes at N is for orientation: it would stand beside times of a race, or is the
    unrepaired variant's times a ratio of too few calls for limits. Else empty.
    """
    if study.race is not None:
        return "~"
    if not is_repaired(variant):
        return ""
    repair = repair_of(study, variant.name)
    ratio = (repair.latency_ratio if batch_size == 1 else repair.throughput_ratio).get(str(batch_size))
    few = ratio is not None and (ratio.low95 is None or ratio.high95 is None or few_calls(ratio))
    return "~" if few else ""
