"""The one picture: what a variant costs against how steady its answers are."""

from __future__ import annotations

import math

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Block, Column, Figure, Paragraph, Table, line
from isobatch.reports.figures.frame import Dot, pareto
from isobatch.reports.figures.scatter import specification
from isobatch.reports.sections import Section
from isobatch.reports.speeds import Speed
from isobatch.reports.views import Repaired

TITLE = "Cost against stability"

_SOME_LOSS, _MUCH_LOSS = 0.005, 0.02
_COLUMNS = (
    Column("Variant", "name"),
    Column("Verdict", "state"),
    Column("Throughput", "number"),
    Column("at N", "number"),
    Column("Batch noise", "number"),
    Column("Top-1 lost to fp32"),
    Column("On the Pareto line"),
)


def _noise(variant: VariantResult) -> float | None:
    """The largest relative |batched - singles|, 0 for equal bytes; None where it is unknown or not finite."""
    worst = views.batch_noise(variant)
    if worst is None or worst.bitwise_equal:
        return None if worst is None else 0.0
    value = worst.max_abs_relative
    return value if value is not None and math.isfinite(value) else None


def _loss(study: Study, variant: VariantResult) -> str:
    fp32 = views.find(study, "fp32")
    if variant.accuracy is None or fp32 is None or fp32.accuracy is None:
        return "not measured"
    lost = fp32.accuracy.top1 - variant.accuracy.top1
    return (
        "at most 0.5 points" if lost <= _SOME_LOSS else ("0.5 to 2 points" if lost <= _MUCH_LOSS else "over 2 points")
    )


def _dot(study: Study, variant: VariantResult) -> tuple[Dot, Speed] | None:
    speed, noise = speeds.best_throughput(variant), _noise(variant)
    if speed is None or noise is None:
        return None
    top1 = f", top-1 {numbers.percent(variant.accuracy.top1)}" if variant.accuracy else ""
    steady = f"batch noise {numbers.difference(noise)}" if noise else "bit-equal at every N"
    dot = Dot(
        name=variant.name,
        speed=speed.interval.median,
        noise=noise,
        verdict=views.state(variant),
        loss=_loss(study, variant),
        chosen=views.is_chosen(study, variant.name),
        words=f"{variant.name}: {views.state(variant)}, {_fast(speed)}, {steady}{top1}",
        limits=_limits(speed),
    )
    return dot, speed


def _repaired_dot(study: Study, found: Repaired) -> tuple[Dot, Speed] | None:
    """A repair keeps the weights; where its singles are not the native ones its accuracy was not measured again."""
    if (speed := speeds.best_throughput(found)) is None:
        return None
    dot = Dot(
        name=found.name,
        speed=speed.interval.median,
        noise=0.0,
        verdict="batch-invariant",
        loss=_loss(study, found.variant),
        chosen=views.is_chosen(study, found.name),
        words=f"{found.name}: batch-invariant after repair, {_fast(speed)}, bit-equal at every N",
        native=found.variant.name,
        limits=_limits(speed),
    )
    return dot, speed


def _limits(speed: Speed) -> tuple[float, float] | None:
    low, high = speed.interval.low95, speed.interval.high95
    return None if low is None or high is None or not 0 < low <= high < math.inf else (low, high)


def _fast(speed: Speed) -> str:
    return f"{numbers.throughput(speed.interval)} at N = {speed.batch_size}"


def _row(dot: Dot, speed: Speed, on_line: bool) -> tuple[str | None, ...]:
    return (
        dot.name,
        dot.verdict,
        numbers.throughput(speed.interval),
        numbers.count(speed.batch_size),
        numbers.difference(dot.noise) if dot.noise else "bit-equal",
        dot.loss,
        "yes" if on_line else "no",
    )


def _line(best: list[Dot]) -> str:
    if len(best) == 1:
        return f"No Pareto line: {best[0].name} is the fastest and no other is steadier."
    return "Dotted: the Pareto line; no variant is both faster and steadier than one on it."


def blocks(study: Study) -> list[Block]:
    """The picture with the table of its values, and what could not be drawn."""
    found = {variant.name: _dot(study, variant) for variant in views.candidates(study)}
    mended = views.repaired(study)
    found |= {one.name: _repaired_dot(study, one) for one in mended}
    drawn = [pair for pair in found.values() if pair]
    missing = [name for name, pair in found.items() if pair is None]
    left_out = f" Not drawn, for want of a throughput or a finite noise: {', '.join(missing)}." if missing else ""
    if not drawn:
        return [Paragraph(line(f"Nothing to draw: no variant has both a batch noise and a throughput.{left_out}"))]
    dots = [dot for dot, _ in drawn]
    best = pareto(dots)
    table = Table("The values of the picture.", _COLUMNS, tuple(_row(dot, speed, dot in best) for dot, speed in drawn))
    joined = " A thin line joins a repaired variant to its native self." if any(dot.native for dot in dots) else ""
    words = (
        "Right is faster, down is steadier. Batch noise: the largest |batched - singles| over all inputs and N, "
        f"relative to the largest |logit|. Bars: 95 % limits of the throughput.{joined} "
        f"{_line(best)} Ringed: the choice."
    )
    return [Figure(TITLE, words + left_out, specification(dots), table)]


SECTION = Section(
    name="cost_and_stability",
    order=20,
    title=TITLE,
    show="folded",
    write=blocks,
)
