"""How large the difference is, N by N, beside what the precision itself costs: both on one logarithmic axis."""

from isobatch.pipeline.records.study import Comparison, Study, VariantResult
from isobatch.pipeline.records.wording import condition_words
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Figure, Paragraph, Row, line, table_of
from isobatch.reports.figures.frame import drawable
from isobatch.reports.figures.ranges import Noise, NoiseRange, specification
from isobatch.reports.sections import Section

_PERCENTILES = {"Median": "p50", "95th": "p95", "99th": "p99", "Largest": "p100"}


def _made(variant: VariantResult) -> list[Comparison]:
    """Batched against singles under the plain conditions N by N, then the errors against fp64, per input set."""
    kinds = ("batch-vs-singles", "vs-reference")
    comparisons = [c for kind in kinds for c in variant.comparisons if c.kind == kind and c.percentiles]
    return sorted(comparisons, key=lambda c: (c.inputs, kinds.index(c.kind), c.batch_size))


def _words(comparison: Comparison) -> str:
    if comparison.kind == "vs-reference":
        return "precision error (singles against the reference)"
    return f"batch noise at N = {comparison.batch_size}"


def _range(name: str, comparison: Comparison, told: bool) -> NoiseRange:
    """``told``: whether the condition is part of the row's name."""
    percentiles = comparison.percentiles or {}
    label = "vs reference" if comparison.kind == "vs-reference" else f"N = {comparison.batch_size}"
    median, high, largest = (float(percentiles.get(key, 0.0)) for key in ("p50", "p95", "p100"))
    said = (
        f"{name}, {comparison.inputs}, {_words(comparison)}: median {numbers.difference(median)}, 95th percentile "
        f"{numbers.difference(high)}, largest {numbers.difference(largest)}"
    )
    noise: Noise = "precision error" if comparison.kind == "vs-reference" else "batch noise"
    row = f"{comparison.inputs}{f', {condition_words(comparison.condition, pixels=True)}' if told else ''}, {label}"
    return NoiseRange(row, noise, median, high, largest, said)


def _row(comparison: Comparison) -> Row:
    percentiles = comparison.percentiles or {}
    return {
        Column("Inputs"): f"{comparison.inputs}, {condition_words(comparison.condition, pixels=True)}",
        Column("What"): _words(comparison),
        **{Column(t, "number"): numbers.known(percentiles.get(p), numbers.difference) for t, p in _PERCENTILES.items()},
        Column("Elements", "number"): numbers.count(comparison.n_elements),
    }


def _one(variant: VariantResult) -> list[Block]:
    made = _made(variant)
    if not made:
        return [Paragraph(line("No difference was measured."))]
    table = table_of("|difference| of the logits, pooled over images and classes of one comparison.", map(_row, made))
    conditions = {(c.inputs, c.condition) for c in made}
    ranges = [_range(variant.name, c, len(conditions) > len({i for i, _ in conditions})) for c in made]
    if not any(drawable(s.largest) for s in ranges):
        return [Paragraph(line("Nothing to draw: every difference is 0 or not finite.")), table]
    words = (
        "Each bar runs from the median to the largest |difference| of the logits, its dot marks the 95th percentile. "
        "Where a median is 0 the bar begins at the left edge. Batch noise far left of the precision error drowns in it."
    )
    return [Figure(f"{variant.name}: batch noise and precision error", words, specification(ranges), table)]


def blocks(study: Study) -> list[Block]:
    """The picture with its table, for each measured candidate."""
    page = [block for variant in views.candidates(study) for block in _one(variant)]
    return page or [Paragraph(line("No difference was measured."))]


SECTION = Section(order=67, title="How large the difference is", show="chapter", write=blocks)
