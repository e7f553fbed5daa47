"""The study on a terminal: its open sections as tables, then the closing summary."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.text import Text

from isobatch.pipeline.records.study import Study
from isobatch.reports.blocks import Absent, Block, Written
from isobatch.reports.missing import in_place_of
from isobatch.reports.screen.rich_blocks import to_renderable
from isobatch.reports.screen.summary import summary
from isobatch.reports.sections import or_why_not, write_all

WIDTH = 100
"""Columns where the stream is no terminal, and the most the closing summary uses."""

_ENDING_BLANKS = re.compile(" +$", re.MULTILINE)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError("nobody reads this output any more")  # rich would exit with 1, which has a meaning here


class _Pipe(_Console):
    """Plain lines of 100 columns, without the blanks that fill them up on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(file=stream, highlight=False, markup=False, emoji=False, width=WIDTH, color_system=None)

    def print(self, *objects: Any, **settings: Any) -> None:
        """As ``Console.print``; no line ends in blanks."""
        with self.capture() as kept:
            super().print(*objects, **settings)
        self.file.write(_ENDING_BLANKS.sub("", kept.get()))


def console_for(stream: TextIO) -> Console:
    """A console on the stream. In a pipe: 100 columns, no colour. No colour either where NO_COLOR is set."""
    console = _Console(file=stream, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    return _Pipe(stream)


def print_blocks(blocks: Iterable[Block], stream: TextIO) -> None:
    """Print these blocks, one below the other."""
    console_for(stream).print(Group(*map(to_renderable, blocks)))


def print_summary(study: Study, paths: Mapping[str, Path], stream: TextIO, verbose: bool) -> None:
    """Print the open sections (the folded ones too if ``verbose``), then the closing summary with the paths last."""
    console = console_for(stream)
    asked = ("open", "folded") if verbose else ("open",)
    print_sections([section for section in write_all(study) if section.show in asked], stream)
    console.rule(Text("Summary", "bold"), align="left", style="dim")
    for part in _summary(study, paths, min(console.width, WIDTH)):
        console.print(part)


def print_sections(sections: Iterable[Written], stream: TextIO) -> None:
    """Print these sections under their titles, but for those that have nothing to show."""
    console = console_for(stream)
    for section in sections:
        if not all(isinstance(block, Absent) for block in section.blocks):
            console.rule(Text(section.title, "bold"), align="left", style="dim")
            console.print(or_why_not(lambda part: Group(*map(to_renderable, part.blocks)), section))
            console.print()


def _summary(study: Study, paths: Mapping[str, Path], width: int) -> list[RenderableType]:
    """The closing summary; where it cannot be written, the reason and the paths all the same."""
    try:
        return summary(study, paths, width)
    except Exception as error:
        return [*map(to_renderable, [in_place_of("Summary", error)]), *(Text(str(path)) for path in paths.values())]
