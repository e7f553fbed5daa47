"""How each variant was made, and what really ran."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isobatch.pipeline.records.study import GraphMade, Study, VariantResult
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
_GRAPHS = (
    Column("Variant", "name"),
    Column("N"),
    Column("Pixels"),
    Column("Seconds to compile", "number"),
    Column("Calls (C++: kernels of its own)"),
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
    made = tuple(_graph(variant.name, graph) for variant in study.variants for graph in _graphs(variant))
    tables: list[Block] = [Table("Ran as, provider: as read back from the engine.", _COLUMNS, rows)]
    if made:
        tables.append(
            Table("Graphs that were compiled: which one runs at which N, and what its code calls.", _GRAPHS, made)
        )
    return tables


def _graphs(variant: VariantResult) -> Sequence[GraphMade]:
    return variant.effective.graphs if variant.effective else ()


def _graph(variant: str, graph: GraphMade) -> tuple[str | None, ...]:
    size = " x ".join(map(str, graph.size)) or None
    called = ", ".join(f"{name} ({count})" for name, count in graph.operations.items())
    return variant, graph.images, size, numbers.real(graph.seconds, 3), called or None


SECTION = Section(order=105, title="Recipes, and what really ran", show="folded", write=blocks)
