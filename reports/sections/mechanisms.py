"""Why each origin depends on N: mechanism and triggers, what was tried, and the evidence of each attempt."""

from collections.abc import Sequence

from isobatch.pipeline.explain.causes import all_causes
from isobatch.pipeline.records.study import Origin, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import (
    Absent,
    Block,
    Bullets,
    Code,
    Column,
    Definitions,
    Details,
    Line,
    Paragraph,
    Row,
    Table,
    line,
    table_of,
)
from isobatch.reports.sections import Section

_TREES = (Column("Variant", "name"), Column("Layer"), Column("N"), Column("Order of addition"))

Group = Sequence[Origin]
"""The origins of one variant that share one explanation."""


def grouped(origins: Sequence[Origin]) -> list[Group]:
    """The explained origins by the layer that was examined for them, in order of their first layer."""
    explained = ((origin.explained_by or origin.layer, origin) for origin in origins if origin.mechanism is not None)
    return list(views.together(explained).values())


def _row(variant: VariantResult, group: Group) -> Row:
    first = group[0]
    return {
        Column("Variant", "name"): variant.name,
        Column("Layers"): views.listing((origin.layer for origin in group), 3),
        Column("Count", "number"): numbers.count(len(group)),
        Column("Mechanism"): first.mechanism,
        Column("Triggers"): ", ".join(first.triggers) or None,
        Column("Examined at"): first.explained_by or first.layer,
    }


def _evidence(group: Group) -> Bullets:
    """Every attempt at the layer examined, with what it showed."""
    first = group[0]
    items: list[Line] = [
        line(Code(first.explained_by or first.layer), " · ", Code(cause.name), f": {cause.verdict}. {cause.evidence}")
        for cause in first.causes
    ]
    if not items:
        items.append(line(Code(first.explained_by or first.layer), ": no intervention applies to this layer here."))
    return Bullets(tuple(items))


def _tree_rows(variant: VariantResult, group: Group) -> list[tuple[str | None, ...]]:
    """The orders of addition that were revealed, N by N."""
    trees = next((cause.trees for cause in group[0].causes if cause.trees), {})
    at = group[0].explained_by or group[0].layer
    return [(variant.name, at, n, words) for n, words in trees.items()]


def _asked(variants: Sequence[VariantResult]) -> Definitions | None:
    """The question of every cause that was tried, and what each answer means."""
    tried = {cause.name for variant in variants for origin in variant.origins or [] for cause in origin.causes}
    items = tuple(
        (cause.name, line(f"{cause.question} Yes: {cause.if_supported}. No: {cause.if_refuted}."))
        for cause in all_causes()
        if cause.name in tried
    )
    return Definitions(items) if items else None


def blocks(study: Study) -> list[Block]:
    """One row for each group of origins, the trees N by N, the evidence by variant, and what was asked."""
    explained = [(v, groups) for v in study.variants if (groups := grouped(v.origins or []))]
    if not explained:
        if any(variant.origins for variant in study.variants):
            return [Paragraph(line("No mechanism was sought at the origins found."))]
        return [Absent(why) for why in views.unexplained(study)]
    caption = (
        "Layers of the same kernels and shapes share a row: one of them was examined, and speaks for its siblings. "
        "A mechanism is named only where an intervention made the difference between N = 1 and N = k vanish or showed "
        "what makes it; a trigger is what accompanies it."
    )
    rows = (_row(variant, group) for variant, groups in explained for group in groups)
    page: list[Block] = [table_of(caption, rows)]
    trees = tuple(row for variant, groups in explained for group in groups for row in _tree_rows(variant, group))
    if trees:
        words = "The order in which the kernel itself adds up, as masks of large values in its operands revealed it."
        page.append(Table(words, _TREES, trees))
    for variant, groups in explained:
        page.append(Details(f"{variant.name}: what was tried, and what it showed", tuple(map(_evidence, groups))))
    if asked := _asked([variant for variant, _ in explained]):
        page.append(Details("What each intervention asks, and what its answers mean", (asked,)))
    return page


SECTION = Section(order=68, title="Mechanism and evidence", show="chapter", write=blocks)
