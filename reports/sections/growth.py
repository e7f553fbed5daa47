"""How the first difference becomes the logit difference, layer by layer."""

from isobatch.pipeline.records.study import Growth, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Column, Figure, Paragraph, Row, line, table_of
from isobatch.reports.figures.frame import drawable
from isobatch.reports.figures.lines import Growing, specification
from isobatch.reports.sections import Section

TITLE = "How it grows"


def _start(variant: VariantResult, grown: list[Growth]) -> int | None:
    """The place of the first origin whose output differed on the image shown."""
    origins = {origin.layer for origin in variant.origins or []}
    return next((at for at, g in enumerate(grown) if g.layer in origins and drawable(g.relative_l2)), None)


def _line(variant: VariantResult) -> Growing | None:
    grown = variant.growth or []
    shown = [g for g in grown if drawable(g.relative_l2)]
    if not shown:
        return None
    first, last, most = shown[0], shown[-1], max(shown, key=lambda g: g.relative_l2)
    start = _start(variant, grown)
    words = (
        f"{variant.name}: {numbers.difference(first.relative_l2)} at {first.layer}, "
        f"{numbers.difference(last.relative_l2)} at {last.layer}; most at {most.layer}, "
        f"{numbers.difference(most.relative_l2)}"
    )
    origin = ""
    if start is not None:
        origin = f"{variant.name}: first origin, {grown[start].layer}, {numbers.difference(grown[start].relative_l2)}"
    return Growing(variant.name, [g.relative_l2 for g in grown], start, words, origin)


def _rows(variant: VariantResult) -> list[Row]:
    """The layers from the first that differs on."""
    grown = variant.growth or []
    origins = {origin.layer for origin in variant.origins or []}
    first = next((at for at, g in enumerate(grown) if g.relative_l2 != 0 or g.max_abs != 0), len(grown))
    return [
        {
            Column("Variant", "name"): variant.name,
            Column("Layer"): g.layer,
            Column("Place", "number"): f"{at} of {len(grown)}",
            Column("Relative L2", "number"): numbers.difference(g.relative_l2),
            Column("Largest |difference|", "number"): numbers.difference(g.max_abs),
            Column("Values a step off", "number"): numbers.known(g.steps, numbers.count),
            Column("Origin"): "yes" if g.layer in origins else None,
        }
        for at, g in enumerate(grown[first:], first + 1)
    ]


def blocks(study: Study) -> list[Block]:
    """The picture with the table of its values; a sentence where there is nothing to draw."""
    watched = [variant for variant in study.variants if variant.growth]
    if not watched:
        return [Absent(why) for why in views.unexplained(study)] or [Absent(line("No layer's output was compared."))]
    lines = {variant.name: _line(variant) for variant in watched}
    with_lines = [curve for curve in lines.values() if curve]
    flat = [name for name, curve in lines.items() if curve is None]
    left_out = f" Not drawn, as no layer differed by a finite amount on this image: {', '.join(flat)}." if flat else ""
    rows = [row for variant in watched for row in _rows(variant)]
    caption = (
        "From the first layer that differs on; the layers before it are bit-equal. Of an integer layer: how many of "
        "its values are another step, and the largest difference in steps."
    )
    table = table_of(caption, rows)
    if not with_lines:
        return [Paragraph(line(f"Nothing to draw.{left_out}")), *([table] if rows else [])]
    words = (
        "One image's output of each layer in the batch against the same image's alone, as deployed. Dots: the first "
        f"origin. A line begins where the values begin to differ, and is interrupted where they are equal.{left_out}"
    )
    return [Figure(TITLE, words, specification(with_lines), table)]


SECTION = Section(order=54, title=TITLE, show="folded", write=blocks)
