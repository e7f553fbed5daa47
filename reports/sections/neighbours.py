"""Does an image's place in the batch matter, or what lies beside it?"""

from collections.abc import Iterator

from isobatch.pipeline.records.study import Comparison, ComparisonKind, NeighbourEffect, Study, VariantResult
from isobatch.pipeline.records.wording import condition_words
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Bullets, Code, Column, Line, Paragraph, Row, Table, line, table_of
from isobatch.reports.sections import Section

_COLUMNS = (
    Column("Variant", "name"),
    Column("Inputs"),
    Column("Condition"),
    Column("N", "number"),
    Column("Rotated", "number"),
    Column("Answers changed", "number"),
    Column("Beside an outlier", "number"),
    Column("Answers changed", "number"),
    Column("Copies", "number"),
)
_KINDS: tuple[ComparisonKind, ...] = ("position", "neighbours", "copies")
_Key = tuple[str, str, int]


def _key(comparison: Comparison) -> _Key:
    plain = comparison.condition.model_copy(update={"position": 0, "neighbours": "natural"})
    return comparison.inputs, condition_words(plain, pixels=True), comparison.batch_size


def _cells(comparison: Comparison | None) -> tuple[str | None, str | None]:
    return (views.difference(comparison), views.flips(comparison)) if comparison else (None, None)


def _rows(variant: VariantResult) -> Iterator[tuple[str | None, ...]]:
    made = [{_key(c): c for c in views.comparisons(variant, kind)} for kind in _KINDS]
    for key in dict.fromkeys(key for of_kind in made for key in of_kind):
        rotated, beside, copies = (of_kind.get(key) for of_kind in made)
        where, condition, n = key
        cells = (*_cells(rotated), *_cells(beside), views.difference(copies))
        yield (variant.name, where, condition, numbers.count(n), *cells)


def blocks(study: Study) -> list[Block]:
    """One row for each variant, input set, condition and N."""
    rows = tuple(row for variant in study.variants for row in _rows(variant))
    if not rows:
        return [Paragraph(line("Neither was measured.")), *_effects(study)]
    caption = (
        "Batched again with one thing changed, against plain batched at the same N: every batch rotated by one place, "
        "or its last image replaced by an outlier. Copies: of N copies of one image, the first row against the row "
        "farthest from it, which tells the place in the batch from the size of the batch. Relative to the "
        "largest |logit|; bounds one-sided, exact, 95 %."
    )
    return [Table(caption, _COLUMNS, rows), *_effects(study)]


def _effects(study: Study) -> list[Block]:
    """One image's logits by what stands beside it, for each variant in which an origin couples images."""
    effects = [(v, v.neighbour_effect) for v in study.variants if v.neighbour_effect]
    if not effects:
        return []
    caption = (
        "One image's logits at one N and its own place, against its logits alone, by what stands beside it. Last for "
        "each variant: the worst of all tried, some of them made by a search that keeps what moves the image more."
    )
    rows = (row for variant, effect in effects for row in _effect_rows(variant, effect))
    return [table_of(caption, rows), Bullets(tuple(_example(v, effect) for v, effect in effects))]


def _effect_rows(variant: VariantResult, effect: NeighbourEffect) -> list[Row]:
    return [
        {
            Column("Variant", "name"): variant.name,
            Column("N", "number"): numbers.count(effect.batch_size),
            Column("Beside"): neighbour.what,
            Column("Largest change", "number"): numbers.difference(neighbour.change),
            Column("Of the largest logit", "number"): numbers.percent(neighbour.change / effect.largest_logit)
            if effect.largest_logit
            else None,
            Column("Answer"): "another" if neighbour.top1_moved else "the same",
        }
        for neighbour in effect.seen
    ]


def _example(variant: VariantResult, effect: NeighbourEffect) -> Line:
    return line(
        Code(variant.name),
        f": the batch with the worst of {numbers.count(effect.tried)} tried lies in the run's folder as ",
        Code(effect.example),
        f"; row {effect.victim} is the image.",
    )


SECTION = Section(order=90, title="Position and neighbours", show="folded", write=blocks)
