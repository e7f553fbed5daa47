"""The one picture: what a variant costs against how steady its answers are."""

import math
from dataclasses import dataclass

from isobatch.pipeline.decide.repaired_variants import native_name
from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Block, Column, Figure, Paragraph, Row, line, table_of
from isobatch.reports.figures.frame import Dot, outermost
from isobatch.reports.figures.scatter import specification
from isobatch.reports.sections import Section
from isobatch.reports.sections.glossary import defined
from isobatch.reports.speeds import Speed

TITLE = "Cost against stability"

_SOME_LOSS, _MUCH_LOSS = 0.005, 0.02


@dataclass(frozen=True)
class Placed:
    """A variant or a repaired one with its place in the picture."""

    dot: Dot
    speed: Speed
    variant: VariantResult


def _noise(variant: VariantResult) -> float | None:
    """The largest relative |batched - singles|, 0 for equal bytes; None where it is unknown or not finite."""
    if views.is_repaired(variant):
        return 0.0 if variant.verdict == "batch-invariant" else None
    worst = views.batch_noise(variant)
    if worst is None or worst.bitwise_equal:
        return None if worst is None else 0.0
    value = worst.max_abs_relative
    return value if value is not None and math.isfinite(value) else None


def _loss(variant: VariantResult) -> str:
    """The class of its accuracy drop, that has a colour."""
    if variant.accuracy is None or variant.accuracy_drop is None:
        return "not measured"
    drop = variant.accuracy_drop.value
    return "up to 0.5 points" if drop <= _SOME_LOSS else ("0.5 to 2 points" if drop <= _MUCH_LOSS else "over 2 points")


def _dot(study: Study, variant: VariantResult) -> Placed | None:
    speed, noise = speeds.throughput(study, variant), _noise(variant)
    if speed is None or noise is None:
        return None
    top1 = f", top-1 {numbers.percent(variant.accuracy.top1)}" if variant.accuracy else ""
    steady = f"batch noise {numbers.difference(noise)}" if noise else "bit-equal at every N"
    fast = f"{speed.mark}{numbers.throughput(speed.interval)} at N = {speed.batch_size}"
    stands = f"{views.state(variant)}{' after repair' if views.is_repaired(variant) else ''}"
    dot = Dot(
        name=variant.name,
        speed=speed.interval.median,
        noise=noise,
        verdict=views.state(variant),
        loss=_loss(variant),
        chosen=views.is_chosen(study, variant.name),
        words=f"{variant.name}: {stands}, {fast}, {steady}{top1}",
        native=native_name(variant.name) if views.is_repaired(variant) else None,
        limits=_limits(speed),
    )
    return Placed(dot, speed, variant)


def _limits(speed: Speed) -> tuple[float, float] | None:
    low, high = speed.interval.low95, speed.interval.high95
    return None if low is None or high is None or not 0 < low <= high < math.inf else (low, high)


def _row(placed: Placed, outer: list[Dot]) -> Row:
    dot, drop = placed.dot, placed.variant.accuracy_drop
    return {
        Column("Variant", "name"): dot.name,
        Column("Verdict", "state"): dot.verdict,
        Column("Throughput", "number"): f"{placed.speed.mark}{numbers.throughput(placed.speed.interval)}",
        Column("at N", "number"): numbers.count(placed.speed.batch_size),
        Column("Batch noise", "number"): numbers.difference(dot.noise) if dot.noise else "bit-equal",
        Column("Accuracy drop"): numbers.points(drop.value) if drop else "not measured",
        **({Column("On the dotted line"): "yes" if dot in outer else "no"} if len(outer) > 1 else {}),
    }


def _line(outer: list[Dot]) -> str:
    if len(outer) == 1:
        return f"No dotted line: {outer[0].name} is the fastest, and none is steadier."
    return "Dotted line: none is both faster and steadier than one on it."


def blocks(study: Study) -> list[Block]:
    """The picture with the table of its values, and what could not be placed."""
    dot_of = {v.name: _dot(study, v) for v in (*views.candidates(study), *views.repaired_variants(study))}
    placed = [dot for dot in dot_of.values() if dot]
    missing = [name for name, dot in dot_of.items() if dot is None]
    left_out = f" Not drawn, for want of a throughput or a finite noise: {', '.join(missing)}." if missing else ""
    if not placed:
        return [Paragraph(line(f"Nothing to draw: no variant has both a batch noise and a throughput.{left_out}"))]
    dots = [placed_dot.dot for placed_dot in placed]
    outer = outermost(dots)
    table = table_of("The values of the picture.", (_row(placed_dot, outer) for placed_dot in placed))
    joined = " A thin line joins a repaired variant to the unrepaired one." if any(dot.native for dot in dots) else ""
    ringed = " Ringed: the choice." if any(dot.chosen for dot in dots) else ""
    unraced = "" if study.race is None else " (~)"
    words = (
        "Right is faster, down is steadier; in the green band nothing differs, and height means nothing. "
        f"{defined('batch noise')} Throughput: of a raced variant in the race, of others{unraced} in the passes; "
        f"bars: its 95 % limits.{joined} {_line(outer)}{ringed}"
    )
    return [Figure(TITLE, words + left_out, specification(dots), table)]


SECTION = Section(order=20, title=TITLE, show="folded", write=blocks)
