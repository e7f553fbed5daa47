"""How each variant was made, and what really ran."""

from isobatch.pipeline.records.study import GraphMade, Study, VariantResult
from isobatch.reports import numbers
from isobatch.reports.blocks import Block, Column, Paragraph, Row, line, table_of
from isobatch.reports.facts_in_words import facts
from isobatch.reports.sections import Section


def _measured(value: float) -> str:
    return numbers.real(value, 3)


def _row(variant: VariantResult) -> Row:
    ran = variant.effective
    notes = [*variant.notes, *([ran.note] if ran and ran.note else [])]
    return {
        Column("Variant", "name"): variant.name,
        Column("What it is"): variant.summary or None,
        Column("Ran as"): ran.precision if ran else None,
        Column("Provider"): ran.provider if ran else None,
        Column("Recipe"): "; ".join(facts(variant.recipe, _measured)) or None,
        Column("Notes"): "; ".join(notes) or None,
    }


def blocks(study: Study) -> list[Block]:
    """One row for each variant that could be built."""
    rows = [_row(variant) for variant in study.variants if variant.effective or variant.recipe]
    if not rows:
        return [Paragraph(line("No variant could be built."))]
    ran = [(variant.name, variant.effective) for variant in study.variants if variant.effective]
    made = [_graph(name, graph) for name, effective in ran for graph in effective.graphs]
    tables: list[Block] = [table_of("Ran as, provider: as read back from the engine.", rows)]
    if made:
        tables.append(table_of("Graphs that were compiled: which one runs at which N, and what its code calls.", made))
    return tables


def _graph(variant: str, graph: GraphMade) -> Row:
    size = " x ".join(map(str, graph.size)) or None
    called = ", ".join(f"{name} ({count})" for name, count in graph.operations.items())
    return {
        Column("Variant", "name"): variant,
        Column("N"): graph.images,
        Column("Pixels"): size,
        Column("Seconds to compile", "number"): numbers.real(graph.seconds, 3),
        Column("Calls (C++: kernels of its own)"): called or None,
    }


SECTION = Section(order=105, title="Recipes, and what really ran", show="folded", write=blocks)
