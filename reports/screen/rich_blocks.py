"""Blocks as rich draws them on a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import rich.box
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, OverflowMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from isobatch.reports import blocks
from isobatch.reports.blocks import STATES, Block, Code, Column, Line, Link
from isobatch.reports.escape import clean

ABSENT = "–"
CHOSEN = " ◀"
_MIN_COLUMN = 4
_GAP = 2  # between two columns
_COLOURS = {"good": "green", "fair": "cyan", "caution": "yellow", "bad": "red"}


def prose(words: Line, style: str = "") -> Text:
    """A line of prose; names stand out in bold."""
    text = Text(style=style)
    for part in words:
        if isinstance(part, Code):
            text.append(clean(part.text), "bold")
        else:
            text.append(clean(part.text if isinstance(part, Link) else part))
    return text


def cell(text: str | None, column: Column) -> Text:
    """A cell of a table: a state with its sign, an absent value as a dash."""
    if text is None:
        return Text(ABSENT, "dim")
    shown = clean(text)
    if column.kind == "state":
        sign, tone = STATES.get(shown, (" ", "note"))
        return Text(f"{sign} {shown}", _COLOURS.get(tone, ""))
    return Text(shown, "bold" if column.kind == "name" else "")


@dataclass(frozen=True)
class FittedTable:
    """A table as rich draws it, without its caption, in columns that break no word where the width allows it."""

    table: blocks.Table
    no_wrap: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = _grid(self.table, self.no_wrap)
        shown = [_measured(console, options, plain, at) for at in range(len(self.table.columns))]
        fixed = sum(s.maximum for s, column in zip(shown, plain.columns, strict=True) if column.no_wrap)
        free = [at for at, column in enumerate(plain.columns) if not column.no_wrap]
        gaps = _GAP * (len(shown) - 1)
        if self.no_wrap and sum(column.maximum for column in shown) + gaps > options.max_width:
            plain.padding = (0, 0, 0, 0)  # closer together, before anything is cut
        widths = shared_out([shown[at] for at in free], options.max_width - fixed - gaps)
        for at, width in zip(free, widths, strict=False):
            plain.columns[at].width = width
        yield plain


def _measured(console: Console, options: ConsoleOptions, plain: Grid, at: int) -> Measurement:
    """The longest word and the longest line of a column, its title included."""
    column = plain.columns[at]
    sizes = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells) if cell != ""]
    return Measurement(max(_MIN_COLUMN, *(s.minimum for s in sizes)), max(_MIN_COLUMN, *(s.maximum for s in sizes)))


def shared_out(columns: Sequence[Measurement], room: int) -> list[int]:
    """The widths of columns that share ``room``: each at least its longest word, those of less than an even share their
    longest line, the rest where most is wanted.

    Empty where that leaves nothing to share out: everything fits, or not even the longest words do.
    """
    widths = [column.minimum for column in columns]
    if sum(column.maximum for column in columns) <= room or sum(widths) > room:
        return []
    for at in sorted(range(len(columns)), key=lambda at: columns[at].maximum):
        wanted = columns[at].maximum
        if wanted <= room // len(columns) and sum(widths) - widths[at] + wanted <= room:
            widths[at] = wanted
    for _ in range(room - sum(widths)):
        tightest = max(range(len(columns)), key=lambda at: columns[at].maximum / widths[at])
        widths[tightest] += 1
    return widths


def least_width(table: blocks.Table) -> int:
    """The columns of a terminal that the table takes where no cell is cut and its columns stand close together."""
    console, plain = Console(width=1000), _grid(table, no_wrap=True)
    needed = [_measured(console, console.options, plain, at).maximum for at in range(len(table.columns))]
    return sum(needed) + len(needed) - 1


def _grid(table: blocks.Table, no_wrap: bool) -> Grid:
    shown = Grid(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for column in table.columns:
        keep = no_wrap or column.kind != "text"
        justify: JustifyMethod = "right" if column.kind == "number" else "left"
        overflow: OverflowMethod = "ellipsis" if keep else "fold"
        shown.add_column(clean(column.title), justify=justify, no_wrap=keep, overflow=overflow, min_width=_MIN_COLUMN)
    for number, row in enumerate(table.rows):
        cells = [cell(text, column) for text, column in zip(row, table.columns, strict=True)]
        if number == table.chosen:
            cells[0].append(CHOSEN)
        shown.add_row(*cells, style="bold" if number == table.chosen else "")
    return shown


def to_renderable(block: Block) -> RenderableType:
    """A block as rich draws it."""
    match block:
        case blocks.Heading():
            return Text(f"\n{clean(block.text)}", "bold")
        case blocks.Paragraph():
            return prose(block.prose, "dim" if block.small else "")
        case blocks.Bullets():
            return Group(*(Padding(Text("- ").append_text(prose(item)), (0, 0, 0, 2)) for item in block.items))
        case blocks.Listing():
            return Group(*(Text(f"  {' ' * indent}{clean(text)}", overflow="fold") for indent, text in block.lines))
        case blocks.Definitions():
            return _side_by_side((Text(clean(term), "bold"), prose(words)) for term, words in block.items)
        case blocks.KeyFigures():
            return _side_by_side(pair for figure in block.items for pair in _key_figure(figure))
        case blocks.Table():
            return Group(prose((block.caption,), "dim"), FittedTable(block))
        case blocks.Figure():
            return to_renderable(block.table)
        case blocks.Callout():
            return Group(prose(block.title, _COLOURS.get(block.kind, "bold")), *map(to_renderable, block.blocks))
        case blocks.Details():
            return Group(Text(f"\n{clean(block.summary)}", "bold"), *map(to_renderable, block.blocks))
        case blocks.Absent():
            return prose(block.why, "dim")


def _key_figure(figure: blocks.KeyFigure) -> Iterator[tuple[Text, Text]]:
    yield Text(clean(figure.label)), Text(clean(figure.value), f"bold {_COLOURS.get(figure.tone, '')}".strip())
    yield Text(), prose(figure.remark, "dim")


def _side_by_side(pairs: Iterable[tuple[Text, Text]]) -> Grid:
    table = Grid.grid(padding=(0, 2))
    for pair in pairs:
        table.add_row(*pair)
    return table
