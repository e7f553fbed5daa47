"""The small vocabulary in which sections are written: what is said, never how it looks.

Every format (HTML, Markdown, terminal) draws these blocks and nothing else. Text is plain: escaping is the format's
duty, so a block may hold any string a user controls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Code:
    """A name to be set in a fixed-width font: a variant, a file, a command."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead to their evidence: ``target`` is the name of a section or of a chapter of the same report."""

    text: str
    target: str
    code: bool = False  # whether the words are a name


Line = tuple["str | Code | Link", ...]
"""One run of prose."""


def line(*parts: str | Code | Link) -> Line:
    """Prose from its parts, in order."""
    return parts


def codes(names: Iterable[str]) -> Line:
    """Names, set as code, with commas between them."""
    return tuple(part for name in names for part in (", ", Code(name)))[1:]


@dataclass(frozen=True)
class Heading:
    """A heading inside a section (the section's own title is drawn by the format)."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Prose."""

    prose: Line
    small: bool = False  # a remark that explains what stands above


@dataclass(frozen=True)
class Bullets:
    """A list of short lines."""

    items: tuple[Line, ...]


@dataclass(frozen=True)
class Listing:
    """Lines to be copied as they stand: commands, or code, with its indentation."""

    text: str

    @property
    def lines(self) -> tuple[tuple[int, str], ...]:
        """By line the number of spaces before it, and the rest."""
        every_line = self.text.splitlines()
        return tuple((len(text_line) - len(text_line.lstrip(" ")), text_line.strip()) for text_line in every_line)


@dataclass(frozen=True)
class Definitions:
    """Pairs of a term and what is to be said about it."""

    items: tuple[tuple[str, Line], ...]


Tone = Literal["good", "fair", "caution", "bad", "note"]
"""How a thing is meant; colour and sign are the format's."""


@dataclass(frozen=True)
class KeyFigure:
    """One number that decides: what it is, its value, where the evidence stands, and what else belongs to it."""

    label: str
    value: str
    target: str
    remark: Line
    tone: Tone = "note"


@dataclass(frozen=True)
class KeyFigures:
    """A few numbers side by side, for a reader who reads nothing else."""

    items: tuple[KeyFigure, ...]


ColumnKind = Literal["name", "text", "number", "state"]

STATES: dict[str, tuple[str, Tone]] = {
    "batch-invariant": ("=", "good"),
    "top1-stable": ("≈", "fair"),
    "batch-variant": ("≠", "caution"),
    "not-repeatable": ("?", "bad"),
    "invalid": ("×", "bad"),
    "failed": ("×", "bad"),
    "unavailable": ("–", "note"),
    "reference": ("·", "note"),
    "yes": ("=", "good"),
    "no": ("≠", "caution"),
    "depends": ("≈", "note"),
    "proved": ("✓", "good"),
    "holds": ("✓", "good"),
    "top-1 holds": ("≈", "fair"),
    "not proved": ("?", "caution"),
    "incomplete": ("×", "caution"),
    "does not hold": ("×", "bad"),
    "supported": ("✓", "note"),
    "refuted": ("×", "note"),
    "inconclusive": ("?", "note"),
    "found": ("✓", "good"),
    "missed": ("×", "bad"),
    "not checked": ("?", "caution"),
}
"""By a state's word its sign, so that colour is never the only one to carry it, and how it is meant."""

STATE_SIGNS = {state: sign for state, (sign, _) in STATES.items()}


@dataclass(frozen=True)
class Column:
    """A column of a table. ``name``: set as code, heads its row; ``number``: right-aligned; ``state``: a verdict."""

    title: str
    kind: ColumnKind = "text"


@dataclass(frozen=True)
class Table:
    """A table with a caption. A cell is text, or None where there is nothing to say.

    Raises ValueError where a row's length differs from the number of columns.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | None, ...], ...]
    chosen: int | None = None  # the row to mark

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: {len(self.columns)} columns, but a row of {len(row)} cells: {row}")


Row = Mapping[Column, str | None]
"""A row of a table: what stands under each of its columns."""


def table_of(caption: str, rows: Iterable[Row], chosen: int | None = None) -> Table:
    """The table of rows that all have the same columns. Raises ValueError where one has others."""
    every = tuple(rows)
    columns = tuple(every[0]) if every else ()
    if any(tuple(row) != columns for row in every):
        raise ValueError(f"{caption}: rows of different columns")
    return Table(caption, columns, tuple(tuple(row.values()) for row in every), chosen)


def without(table: Table, *titles: str) -> Table:
    """The table without the columns of these titles."""
    kept = [at for at, column in enumerate(table.columns) if column.title not in titles]
    rows = tuple(tuple(row[at] for at in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[at] for at in kept), rows=rows)


def without_empty(table: Table, *titles: str) -> Table:
    """The table without those of these columns of which no row says anything."""
    told = {column.title for at, column in enumerate(table.columns) if any(row[at] is not None for row in table.rows)}
    return without(table, *(title for title in titles if title not in told))


@dataclass(frozen=True)
class Figure:
    """A picture: its Vega-Lite specification, what it shows in words, and the table of its values."""

    title: str
    description: str
    spec: dict[str, Any]
    table: Table


@dataclass(frozen=True)
class Callout:
    """A box that stands out: a title and a few blocks."""

    kind: Tone
    title: Line
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Details:
    """Blocks folded away behind a summary, where the format can fold."""

    summary: str
    blocks: tuple[Block, ...]
    anchor: str | None = None  # where links find them


def nested(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every block and those within it, in order."""
    for block in blocks:
        yield block
        yield from nested(getattr(block, "blocks", ()))


@dataclass(frozen=True)
class Absent:
    """Why there is nothing to show in this place. A document keeps the place; a terminal leaves out such a section."""

    why: Line


Block = Heading | Paragraph | Bullets | Listing | Definitions | KeyFigures | Table | Figure | Callout | Details | Absent


@dataclass(frozen=True)
class Written:
    """A section as written for one study."""

    name: str  # it serves as the anchor
    title: str
    show: Show
    blocks: tuple[Block, ...]
    lost: str | None = None  # why it could not be written; its blocks say so


Show = Literal["first", "open", "folded", "chapter"]
