"""Does an image's place in the batch matter, or what lies beside it?"""

from __future__ import annotations

from pipeline.records import Comparison, Study, VariantResult
from reports import numbers, views
from reports.blocks import Block, Column, Paragraph, Table, line

ORDER = 90
TITLE = "Position and neighbours"
SHOW = "folded"

_COLUMNS = (
    Column("Variant", "name"),
    Column("Inputs"),
    Column("Condition"),
    Column("N", "number"),
    Column("Rotated", "number"),
    Column("Top-1 flips", "number"),
    Column("Beside an outlier", "number"),
    Column("Top-1 flips", "number"),
)

_Key = tuple[str, str, int]


def _key(comparison: Comparison) -> _Key:
    plain = comparison.condition.model_copy(update={"position": 0, "neighbours": "natural"})
    return comparison.inputs, views.condition(plain), comparison.batch_size


def _cells(comparison: Comparison | None) -> tuple[str | None, str | None]:
    return (views.difference(comparison), views.flips(comparison)) if comparison else (None, None)


def _rows(variant: VariantResult) -> list[tuple[str | None, ...]]:
    rotated = {_key(c): c for c in views.comparisons(variant, "position")}
    beside = {_key(c): c for c in views.comparisons(variant, "neighbours")}
    return [
        (variant.name, key[0], key[1], numbers.count(key[2]), *_cells(rotated.get(key)), *_cells(beside.get(key)))
        for key in dict.fromkeys([*rotated, *beside])
    ]


def blocks(study: Study) -> list[Block]:
    """One row for each variant, input set, condition and N."""
    rows = tuple(row for variant in study.variants for row in _rows(variant))
    if not rows:
        return [Paragraph(line("Neither was measured."))]
    caption = (
        "Batched again with one thing changed, against plain batched at the same N: every batch rotated by one place, "
        "or its last image replaced by an outlier. Relative to the largest |logit|; bounds one-sided, exact, 95 %."
    )
    return [Table(caption, _COLUMNS, rows)]
