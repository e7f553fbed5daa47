"""Top-1 accuracy of every variant, and what it loses against fp32 on the same images."""

from __future__ import annotations

from isobatch.pipeline.records.study import AccuracyDrop, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Table, line
from isobatch.reports.sections import Section
from isobatch.reports.sections.glossary import defined

_COLUMNS = (
    Column("Variant", "name"),
    Column("Top-1 (95 % interval)", "number"),
    Column("n", "number"),
    Column("Accuracy drop", "number"),
    Column("At most (95 %)", "number"),
    Column("Only fp32 right", "number"),
    Column("Only this right", "number"),
    Column("Limit"),
)


def _limit(drop: AccuracyDrop) -> str:
    if drop.decided is None:
        return "none set"
    needed = f"; about {numbers.count(drop.needed_n)} images would decide" if drop.needed_n else ""
    return drop.decided.replace("-", " ") + needed


def _row(variant: VariantResult) -> tuple[str | None, ...]:
    accuracy, drop = variant.accuracy, variant.accuracy_drop
    return (
        variant.name,
        views.accuracy_with_interval(variant) or variant.accuracy_note,
        numbers.count(accuracy.n) if accuracy else None,
        numbers.points(drop.value) if drop else None,
        numbers.points(drop.upper95) if drop else None,
        numbers.count(drop.only_reference_right) if drop else None,
        numbers.count(drop.only_variant_right) if drop else None,
        _limit(drop) if drop else None,
    )


def blocks(study: Study) -> list[Block]:
    """One row for each measured candidate; a remark on what the numbers are worth."""
    rows = tuple(_row(v) for v in views.candidates(study))
    if not any(v.accuracy for v in study.variants):
        reasons = sorted({v.accuracy_note for v in views.candidates(study) if v.accuracy_note})
        return [Paragraph(line("No accuracy was measured", *(f": {reason}" for reason in reasons[:1]), "."))]
    sets = sorted({v.accuracy.inputs for v in study.variants if v.accuracy and v.accuracy.inputs})
    caption = (
        f"Labelled images{' of ' + views.listing(sets) if sets else ''}, run at each variant's fastest N. "
        f"Intervals: exact, two-sided. {defined('accuracy drop')} Its limit is exact and one-sided."
    )
    return [Table(caption, _COLUMNS, rows)]


SECTION = Section(
    name="accuracy",
    order=100,
    title="Accuracy",
    show="folded",
    write=blocks,
)
