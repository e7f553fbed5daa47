"""Top-1 accuracy of every variant, and what it loses against the baseline on the same images."""

from isobatch.pipeline.records.study import AccuracyDrop, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section
from isobatch.reports.sections.glossary import defined


def _limit(drop: AccuracyDrop) -> str:
    if drop.decided is None:
        return "none set"
    needed = f"; about {numbers.count(drop.needed_n)} images would decide" if drop.needed_n else ""
    return drop.decided.replace("-", " ") + needed


def _row(variant: VariantResult, baseline: str) -> Row:
    accuracy, drop = variant.accuracy, variant.accuracy_drop
    return {
        Column("Variant", "name"): variant.name,
        Column("Top-1 (95 % interval)", "number"): views.accuracy_with_interval(variant) or variant.accuracy_note,
        Column("n", "number"): numbers.count(accuracy.n) if accuracy else None,
        Column("Accuracy drop", "number"): numbers.points(drop.value) if drop else None,
        Column("At most (95 %)", "number"): numbers.points(drop.upper95, "up") if drop else None,
        Column(f"Only {baseline} right", "number"): numbers.count(drop.only_reference_right) if drop else None,
        Column("Only this right", "number"): numbers.count(drop.only_variant_right) if drop else None,
        Column("Limit"): _limit(drop) if drop else None,
    }


def why_unmeasured(study: Study) -> list[str]:
    """``: the weights are random``: the first reason why no accuracy was measured; nothing where none is known."""
    reasons = sorted({v.accuracy_note for v in views.candidates(study) if v.accuracy_note})
    return [f": {reason}" for reason in reasons[:1]]


def blocks(study: Study) -> list[Block]:
    """One row for each measured candidate; a remark on what the numbers are worth."""
    rows = [_row(v, views.baseline(study)) for v in views.candidates(study)]
    if not rows or not any(v.accuracy for v in study.variants):
        return [Paragraph(line("No accuracy was measured", *why_unmeasured(study), "."))]
    sets = sorted({v.accuracy.inputs for v in study.variants if v.accuracy and v.accuracy.inputs})
    caption = (
        f"Labelled images{' of ' + views.listing(sets) if sets else ''}, run at each variant's fastest N. "
        f"Intervals: exact, two-sided. {defined('accuracy drop')} Its limit is exact and one-sided."
    )
    return [table_of(caption, rows)]


SECTION = Section(order=100, title="Accuracy", show="folded", write=blocks)
