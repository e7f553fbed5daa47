"""One file a section, written once, drawn in every format; found by looking into this package.

A section is a module that holds one ``SECTION = Section(...)``:

* ``order``: its place among the sections (a float, all different), ``title``: its heading; its name is the module's,
* ``show``: ``first`` (on the first screen, and in the words of the terminal's closing summary), ``open`` (printed in
  the terminal, unfolded in Markdown), ``folded`` (in the terminal on request only, folded in Markdown) or ``chapter``
  (no section of its own: written for one variant at a time, as a part of that variant's chapter),
* ``write(study)``: what it has to say, in blocks. It must work on a study in which every variant failed.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from isobatch.models.spec.discover import discover
from isobatch.pipeline.records.study import Study
from isobatch.reports.blocks import Block, Show, Written
from isobatch.reports.inputs_in_words import worded
from isobatch.reports.missing import in_place_of, told

T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """A part of the report: its place, and the function that writes it."""

    order: float
    title: str
    show: Show
    write: Callable[[Study], list[Block]]
    name: str = ""  # filled in where it is discovered


@cache
def all_sections() -> tuple[Section, ...]:
    """Every section of this package, in order. Raises ValueError where two claim the same place."""
    named = (replace(section, name=name) for name, section in discover(__name__, Section).items())
    sections = sorted(named, key=lambda section: section.order)
    for section, next_one in itertools.pairwise(sections):
        if section.order == next_one.order:
            raise ValueError(f"sections {section.name!r} and {next_one.name!r} share order={section.order}")
    return tuple(sections)


def write_all(study: Study) -> tuple[Written, ...]:
    """All sections written for this study, in order; a section with nothing to say is left out.

    One that cannot be written says so in its place.
    """
    written = (_written(section, study) for section in all_sections() if section.show != "chapter")
    return tuple(section for section in written if section.blocks)


def _written(section: Section, study: Study) -> Written:
    def write(plain: Written) -> Written:
        return plain if plain.lost else replace(plain, blocks=worded(study, tuple(section.write(study))))

    return or_why_not(write, Written(section.name, section.title, section.show, ()))


def or_why_not(draw: Callable[[Written], T], section: Written) -> T:
    """What ``draw`` makes of a section, or of what stands in its place where it cannot."""
    try:
        return draw(section)
    except Exception as error:
        return draw(replace(section, blocks=(in_place_of(section.title, error),), lost=told(error)))


def write_one(name: str, study: Study) -> Written:
    """The section of this name. Raises KeyError where there is none."""
    sections = {section.name: section for section in all_sections()}
    return _written(sections[name], study)
