"""The map of a study: variant by condition by N, one sign a cell."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.records import Comparison, Condition, Study, VariantResult
from reports import numbers, views
from reports.blocks import STATE_SIGNS, Block, Column, Paragraph, Table, line

ORDER = 72
TITLE = "Map: variant, condition, N"
SHOW = "folded"

_SEVERITY = ("=", "≈", "≠", "?", "×")


def sign(found: Iterable[Comparison]) -> str | None:
    """The worst of these comparisons in one sign; None where none was made."""
    return max((_sign(comparison) for comparison in found), key=_SEVERITY.index, default=None)


def _sign(comparison: Comparison) -> str:
    if comparison.kind == "repeat" and not comparison.bitwise_equal:
        return STATE_SIGNS["not-repeatable"]
    if comparison.max_abs is None or {"nan", "inf"} & set(comparison.issues):
        return STATE_SIGNS["invalid"]
    if comparison.bitwise_equal:
        return STATE_SIGNS["batch-invariant"]
    return STATE_SIGNS["batch-variant" if comparison.top1_flips else "top1-stable"]


def plain(condition: Condition) -> Condition:
    """The condition of the images in their natural order."""
    return condition.model_copy(update={"position": 0, "neighbours": "natural"})


def _rows(variant: VariantResult, batch_sizes: tuple[int, ...]) -> list[tuple[str | None, ...]]:
    judged = [c for c in variant.comparisons if c.kind != "vs-reference"]
    places = dict.fromkeys((c.inputs, plain(c.condition)) for c in judged)
    rows = []
    for inputs, condition in places:
        here = [c for c in judged if (c.inputs, plain(c.condition)) == (inputs, condition)]
        cells = [
            sign(c for c in here if c.batch_size == n and c.kind in ("batch-vs-singles", "repeat")) for n in batch_sizes
        ]
        probes = [sign(c for c in here if c.kind == kind) for kind in ("position", "neighbours")]
        verdict = variant.verdict if _decided(variant, inputs, condition) else None
        rows.append((variant.name, inputs, views.condition(condition), *cells, *probes, verdict))
    return rows


def _decided(variant: VariantResult, inputs: str, condition: Condition) -> bool:
    found = variant.decided_by
    return bool(found and found.condition and (found.inputs, plain(found.condition)) == (inputs, condition))


def blocks(study: Study) -> list[Block]:
    """One row for each variant, input set and condition; what was not run is an empty cell, and its reason is below."""
    batch_sizes = views.tested_batch_sizes(study)
    rows = tuple(row for variant in study.variants for row in _rows(variant, batch_sizes))
    if not rows:
        return [Paragraph(line("Nothing was compared."))]
    columns = (
        Column("Variant", "name"),
        Column("Inputs"),
        Column("Condition"),
        *(Column(f"N = {numbers.count(n)}") for n in batch_sizes),
        Column("Rotated"),
        Column("Beside others"),
        Column("Decided here", "state"),
    )
    caption = (
        "= every byte as in the singles (rotated, beside others: as in the plain batch); ≈ other bytes, no top-1 "
        "changed; ≠ a top-1 changed; ? the same call gave other bytes the second time; × not a number, or not "
        "comparable; empty: not run. The verdict stands in the row of the condition that decided it."
    )
    return [Table(caption, columns, rows)]
