"""The verdict map: which variant, under which condition, at which N, gives other bytes."""

import math
from collections.abc import Iterator

from isobatch.pipeline.records.study import COPIES, Comparison, Condition, Study
from isobatch.pipeline.records.wording import condition_words
from isobatch.reports import views
from isobatch.reports.blocks import Block, Column, Figure, Paragraph, Table, line
from isobatch.reports.figures.cells import STATES, Cell, CellState, Group, specification, width
from isobatch.reports.inputs_in_words import worded
from isobatch.reports.sections import Section

TITLE = "Verdict map"

_WIDEST = 980.0  # pixels of columns in one picture: more of them, and it is drawn in several
_KINDS = ("batch-vs-singles", "position", "neighbours", "copies")
_WHAT = {"batch-vs-singles": "batched against singles", "copies": "each copy against the first"}
_Place = tuple[str, Condition, str]
_Cells = dict[tuple[str, int], Comparison]
"""By variant and N."""


def _state(comparison: Comparison) -> CellState:
    if comparison.bitwise_equal:
        return "equal"
    value = comparison.max_abs_relative
    if comparison.top1_flips is None or value is None or not math.isfinite(value):
        return "odd"
    return "changed" if comparison.top1_flips else "kept"


def _made(study: Study) -> dict[_Place, _Cells]:
    """The worst comparison of each variant and N, under each input set, condition and kind."""
    by_place: dict[_Place, _Cells] = {}
    for kind in _KINDS:
        for variant in views.candidates(study):
            for comparison in variant.comparisons:
                if comparison.kind == kind:
                    cells = by_place.setdefault((comparison.inputs, comparison.condition, comparison.kind), {})
                    key = variant.name, comparison.batch_size
                    cells[key] = views.worst([comparison, *([cells[key]] if key in cells else [])]) or comparison
    return by_place


def _words(place: _Place) -> tuple[str, str]:
    inputs, fixed, _ = place
    plain = fixed.model_copy(update={"position": 0, "neighbours": "natural"})
    said = {"outlier": "outlier beside", COPIES: "copies of one image"}
    beside = said.get(fixed.neighbours, f"beside {fixed.neighbours}")
    special = [f"rotated by {fixed.position}"] if fixed.position else []
    special += [beside] if fixed.neighbours != "natural" else []
    return f"{inputs}{': ' if special else ''}{', '.join(special)}", condition_words(plain, pixels=True)


def _short(comparison: Comparison) -> str:
    sign = STATES[_state(comparison)][0]
    value = comparison.max_abs_relative
    if comparison.bitwise_equal or value is None or not math.isfinite(value):
        return sign
    return f"{sign} {value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def _long(name: str, words: tuple[str, str], comparison: Comparison) -> str:
    what = _WHAT.get(comparison.kind, "batched, changed against plain")
    equal = f"{comparison.n_images_equal} of {comparison.n_images} images bit-equal"
    flips = views.flips(comparison)
    noise = "" if comparison.bitwise_equal else f", largest relative difference {views.difference(comparison)}"
    turned = f", answers changed {flips}" if flips and not comparison.bitwise_equal else ""
    return f"{name}, {', '.join(words)}, N = {comparison.batch_size}, {what}: {equal}{noise}{turned}"


def _group(words: tuple[str, str], cells: _Cells) -> Group:
    drawn = (Cell(name, n, _state(c), _short(c), _long(name, words, c)) for (name, n), c in cells.items())
    return Group(words, tuple(drawn))


def _pictures(places: list[_Place], groups: dict[_Place, Group]) -> Iterator[list[_Place]]:
    """The conditions in runs that fit one picture each."""
    run: list[_Place] = []
    for place in places:
        if run and width([groups[member] for member in [*run, place]]) > _WIDEST:
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _told(cell: Comparison | None) -> str | None:
    return None if cell is None else f"{_short(cell)} ({cell.n_images_equal} of {cell.n_images})"


def _figure(
    names: list[str],
    run: list[_Place],
    groups: dict[_Place, Group],
    made: dict[_Place, _Cells],
    part: str,
) -> Figure:
    sizes = sorted({n for place in run for n in groups[place].batch_sizes})
    columns = (Column("Variant", "name"), Column("Inputs and condition"), *(Column(f"N = {n}") for n in sizes))
    rows = tuple(
        (name, ", ".join(_words(place)), *(_told(made[place].get((name, n))) for n in sizes))
        for name in names
        for place in run
        if any((name, n) in made[place] for n in sizes)
    )
    caption = "In brackets: images whose bytes were equal, of those compared. A dash: not run."
    words = (
        "Each cell is one comparison: = the same bytes as alone, ≈ other bytes, same answers, ≠ an answer changed; "
        "the number is the largest difference over the largest |logit|. Rotated and beside an outlier: against the "
        "plain batch of the same N; copies: against the first of them. No cell: not run."
    )
    spec = specification(names, [groups[place] for place in run])
    return Figure(f"{TITLE}{part}", words, spec, Table(caption, columns, rows))


def blocks(study: Study) -> list[Block]:
    """The map, in several pictures where the conditions are many, each with its table."""
    made = _made(study)
    if not made:
        return [Paragraph(line("Nothing to draw: no variant was compared."))]
    places = list(made)
    groups = {place: _group(worded(study, _words(place)), made[place]) for place in places}
    compared = {name for cells in made.values() for name, _ in cells}
    names = [variant.name for variant in views.candidates(study) if variant.name in compared]
    runs = list(_pictures(places, groups))
    return [
        _figure(names, run, groups, made, f", part {at} of {len(runs)}" if len(runs) > 1 else "")
        for at, run in enumerate(runs, 1)
    ]


SECTION = Section(order=35, title=TITLE, show="folded", write=blocks)
