"""How each variant was made, and what really ran."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers
from isobatch.reports.blocks import Block, Column, Paragraph, Table, line
from isobatch.reports.sections import Section

_COLUMNS = (
    Column("Variant", "name"),
    Column("What it is"),
    Column("Ran as"),
    Column("Provider"),
    Column("Recipe"),
    Column("Notes"),
)


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in recipe.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            finite = isinstance(value, float) and math.isfinite(value)
            yield f"{name}: {numbers.real(value, 3) if finite else value}"


def _row(variant: VariantResult) -> tuple[str | None, ...]:
    ran = variant.effective
    notes = [*variant.notes, *([ran.note] if ran and ran.note else [])]
    return (
        variant.name,
        variant.summary or None,
        ran.precision if ran else None,
        ran.provider if ran else None,
        "; ".join(_flat(variant.recipe)) or None,
        "; ".join(notes) or None,
    )


def blocks(study: Study) -> list[Block]:
    """One row for each variant that could be built."""
    rows = tuple(_row(variant) for variant in study.variants if variant.effective or variant.recipe)
    if not rows:
        return [Paragraph(line("No variant could be built."))]
    return [Table("Ran as, provider: as read back from the engine.", _COLUMNS, rows)]


SECTION = Section(
    name="recipes",
    order=105,
    title="Recipes, and what really ran",
    show="folded",
    write=blocks,
)
