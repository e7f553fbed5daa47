"""Why a layer is an origin: its mechanism, what triggers it, and what each intervention showed."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.records import Origin, Study, VariantResult
from reports import numbers, views
from reports.blocks import Absent, Block, Code, Column, Paragraph, Table, line
from reports.sections.origin_layers import condensed

ORDER = 68
TITLE = "Mechanism and evidence"
SHOW = "chapter"

_CAUSES = (Column("Layer", "name"), Column("Asked"), Column("Answer", "state"), Column("Evidence"))
_MECHANISMS = (
    Column("Layers", "name"),
    Column("Count", "number"),
    Column("Mechanism"),
    Column("Triggers"),
    Column("Shown at"),
)


def _mechanism(group: Sequence[Origin]) -> tuple[str | None, ...]:
    first = group[0]
    shown_at = next((one.layer for one in group if one.causes), first.explained_by)
    return (
        views.listing((one.layer for one in group), 3),
        numbers.count(len(group)),
        first.mechanism or "not explained",
        ", ".join(first.triggers) or None,
        shown_at,
    )


def _groups(origins: Sequence[Origin]) -> list[list[Origin]]:
    """Origins of one signature that were explained alike."""
    found: dict[tuple[int, str | None, tuple[str, ...]], list[Origin]] = {}
    for at, group in enumerate(condensed(origins)):
        for one in group:
            found.setdefault((at, one.mechanism, tuple(one.triggers)), []).append(one)
    return list(found.values())


def _trees(one: Origin) -> list[Block]:
    """The order in which a kernel adds, where a cause revealed it: one line for each N."""
    found: list[Block] = []
    for finding in one.causes:
        trees: dict[str, str] = getattr(finding, "trees", None) or {}
        found += [Paragraph(line(f"{one.layer}, {finding.name}, {when}: ", Code(tree))) for when, tree in trees.items()]
    return found


def _one(variant: VariantResult) -> list[Block]:
    origins = variant.origins or []
    explained = [one for one in origins if one.causes]
    if not any(one.mechanism or one.causes for one in origins):
        return [Absent(line("Not run: no intervention was made at these origins."))]
    rows = tuple(map(_mechanism, _groups(origins)))
    caption = (
        "A mechanism is named only where an intervention at the layer supports it. Shown at: the layer it was made at."
    )
    found: list[Block] = [Table(caption, _MECHANISMS, rows)]
    causes = tuple((one.layer, c.name, c.verdict, c.evidence) for one in explained for c in one.causes)
    if causes:
        found.append(Table("Every intervention, what it showed, and on how much.", _CAUSES, causes))
    return found + [block for one in explained for block in _trees(one)]


def blocks(study: Study) -> list[Block]:
    """The mechanisms of each variant with origins, and every intervention behind them."""
    found = [block for variant in study.variants if variant.origins for block in _one(variant)]
    if found:
        return found
    absent: list[Block] = [Absent(why) for why in views.unexplained(study)]
    return absent or [Absent(line("No origin was found, so there is none to explain."))]
