"""The origins of each variant, layers of the same kernels and shapes in one row."""

import math
from collections.abc import Collection, Iterable, Sequence

from isobatch.pipeline.records.study import Origin, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Bullets, Code, Column, Details, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section
from isobatch.reports.sections.origins import extent

FOUND_BY = {
    "captured": "the study's images",
    "drawn": "drawn data",
    "provoked": "rounding ties",
    "sibling": "a sibling",
}
"""What gave an origin away, in words."""


def condensed(origins: Iterable[Origin]) -> list[list[Origin]]:
    """The origins in groups of one signature, same classes of N and way of being found, in order of the first layer."""
    alike = (
        ((o.kind, o.signature, o.found_by, tuple(o.batch_sizes), tuple(map(tuple, o.classes))), o) for o in origins
    )
    return list(views.together(alike).values())


def _largest(values: Iterable[float | None]) -> float | None:
    """The largest; NaN counts as the largest, and where nothing differed there is none."""
    known = [value for value in values if value is not None]
    largest = next(filter(math.isnan, known), max(known, default=0.0))
    return largest or None


def _differing(group: Sequence[Origin]) -> str:
    differing, tried = sum(o.elements_differing for o in group), sum(o.elements_tried for o in group)
    share = f" ({numbers.percent(differing / tried, 3)})" if differing and tried else ""
    return f"{numbers.count(differing)} of {numbers.count(tried)}{share}"


def _ulp(group: Sequence[Origin], integers: Collection[str]) -> str | None:
    """The largest distance in ULP, of integer outputs in steps; where a scale changed neither means anything."""
    largest = _largest(origin.max_ulp for origin in group)
    if largest and any(origin.mechanism == "dynamic-scale" for origin in group):
        return "n/a (scale changed)"
    if largest and math.isfinite(largest) and all(origin.layer in integers for origin in group):
        return numbers.counted(int(largest), "step")
    return numbers.known(largest, numbers.ulp)


def _row(group: Sequence[Origin], integers: Collection[str]) -> Row:
    return {
        Column("Layers", "name"): views.listing((origin.layer for origin in group), 3),
        Column("Count", "number"): numbers.count(len(group)),
        Column("Kind"): group[0].kind,
        Column("Differs at N"): numbers.batch_sizes(group[0].batch_sizes) or None,
        Column("Elements differing", "number"): _differing(group),
        Column("Largest", "number"): numbers.known(_largest(origin.max_abs for origin in group), numbers.difference),
        Column("ULP or steps", "number"): _ulp(group, integers),
        Column("Given away by"): FOUND_BY[group[0].found_by],
        Column("Classes of N"): numbers.batch_classes(group[0].classes),
    }


def _scripts(origins: Sequence[Origin]) -> list[Block]:
    """Where the script lies that shows a layer's difference alone, or why there is none."""
    shown = views.together((origin.reproducer, origin.layer) for origin in origins if origin.reproducer)
    without = [(origin.reproducer_note, origin.layer) for origin in origins if not origin.reproducer]
    missing = views.together((why, layer) for why, layer in without if why)
    items = [line(Code(path), f" for {views.listing(layers, 3)}") for path, layers in shown.items()]
    items += [line(f"None for {views.listing(layers, 3)}: {why}.") for why, layers in missing.items()]
    if not items:
        return []
    said = (
        "Scripts in the run's folder that show the difference of one layer alone, each started in a fresh process "
        "before it was listed. Exit code 1: it exists here; 0: it is gone; 2: another environment."
    )
    return [Paragraph(line(said), small=True), Bullets(tuple(items))]


def _layers(variant: VariantResult) -> Details:
    caption = (
        f"{variant.name}: layers of the same kernels and shapes share a row. Largest difference and ULP: on the "
        "study's own images, elements below a thousandth of their row's largest left out; a dash where it showed on "
        "other data only. A sibling did not differ itself, but a layer of the same kernels and shapes did. Classes: N "
        "tried at this layer whose rows have the same bytes as one another."
    )
    integers = {grown.layer for grown in variant.growth or [] if grown.steps is not None}
    rows = (_row(group, integers) for group in condensed(variant.origins or []))
    inside: list[Block] = [table_of(caption, rows)]
    inside += _scripts(variant.origins or [])
    if variant.locating and variant.locating.innocent_kinds:
        innocent = ", ".join(variant.locating.innocent_kinds)
        inside.append(Paragraph(line(f"Never an origin in this variant: {innocent}."), small=True))
    return Details(f"{variant.name}: {extent(variant)} layers", tuple(inside))


def blocks(study: Study) -> list[Block]:
    """One folded table for each variant with origins."""
    page: list[Block] = [_layers(variant) for variant in study.variants if variant.origins]
    if page:
        return page
    if any(variant.origins is not None for variant in study.variants):
        return [Paragraph(line("No layer was found to be one."))]
    return [Absent(why) for why in views.unexplained(study)]


SECTION = Section(order=67.5, title="Origins, layer by layer", show="chapter", write=blocks)
