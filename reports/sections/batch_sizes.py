"""Batched against singles, N by N."""

from isobatch.pipeline.records.study import BatchClasses, Comparison, Study, VariantResult
from isobatch.pipeline.records.wording import condition_words
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Row, Table, line, table_of
from isobatch.reports.sections import Section

_CLASS_COLUMNS = (Column("Variant", "name"), Column("Inputs"), Column("Condition"), Column("Classes of N"))


def _classes_row(variant: VariantResult, record: BatchClasses) -> tuple[str | None, ...]:
    where = condition_words(record.condition, pixels=True)
    return variant.name, record.inputs, where, numbers.batch_classes(record.classes)


def elements_differing(comparison: Comparison) -> str | None:
    """Differing elements with their share: ``13,280 of 16,000 (83.0 %)``."""
    if not comparison.n_elements:
        return None
    differing, n = comparison.n_elements_differing, comparison.n_elements
    share = f" ({numbers.percent(differing / n)})" if differing else ""
    return f"{numbers.count(differing)} of {numbers.count(n)}{share}"


def _row(comparison: Comparison) -> Row:
    return {
        Column("Inputs"): comparison.inputs,
        Column("Condition"): condition_words(comparison.condition, pixels=True),
        Column("N", "number"): numbers.count(comparison.batch_size),
        Column("Images equal", "number"): f"{comparison.n_images_equal} of {comparison.n_images}",
        Column("Elements differing", "number"): elements_differing(comparison),
        Column("Largest, relative", "number"): views.difference(comparison),
        Column("ULP", "number"): numbers.known(comparison.max_ulp, numbers.ulp),
        Column("Answers changed", "number"): views.flips(comparison),
        Column("Top-5 changes", "number"): numbers.known(comparison.top5_changes, numbers.count),
    }


def blocks(study: Study) -> list[Block]:
    """The classes of N of every variant, then each variant's comparisons one by one."""
    classes = tuple(_classes_row(v, record) for v in study.variants for record in v.classes)
    tables = []
    for variant in study.variants:
        if made := views.comparisons(variant, "batch-vs-singles"):
            caption = f"{variant.name}: batched against singles. Bounds: one-sided, exact, 95 %."
            tables.append(table_of(caption, map(_row, made)))
    if not classes and not tables:
        return [Paragraph(line("It was not compared at any N."))]
    caption = "Batch sizes within one pair of braces gave the same bytes; {1} stands for the singles."
    return [Table(caption, _CLASS_COLUMNS, classes), *tables]


SECTION = Section(order=67.2, title="Classes of N, and every N", show="chapter", write=blocks)
