"""Tables on a terminal: columns that share too little room break between words, not inside them."""

import io

import pytest
from rich.console import Console
from rich.measure import Measurement

from isobatch.reports.blocks import Column, Table
from isobatch.reports.screen.rich_blocks import FittedTable, shared_out
from isobatch.reports.screen.terminal import WIDTH, print_blocks

NAMES = ("determinism-switch", "per-sample-scale", "static-scale")
LIMITS = "0.91 x (0.67 to 1.42) at N = 8; 0.98 x (0.78 to 1.19) at N = 16"


def test_a_word_is_not_broken_where_the_width_allows_it_and_no_line_ends_in_blanks() -> None:
    columns = (Column("Variant", "name"), Column("Repair"), *(Column(f"Throughput {at}") for at in range(4)))
    table = Table("A caption.", columns, tuple(("ort-int8-dynamic", name, *([LIMITS] * 4)) for name in NAMES))
    stream = io.StringIO()
    print_blocks([table], stream)
    lines = stream.getvalue().splitlines()
    assert all(name in stream.getvalue() for name in NAMES) and "Throughput" in stream.getvalue()
    assert max(map(len, lines)) <= WIDTH
    assert not [text for text in lines if text != text.rstrip()]


@pytest.mark.parametrize(
    ("columns", "room", "widths"),
    [
        ([(4, 10), (6, 8)], 18, []),
        ([(4, 10), (6, 8)], 9, []),
        ([(4, 10), (6, 8)], 10, [4, 6]),
        ([(4, 10), (6, 8)], 13, [7, 6]),
        ([(7, 9), (10, 100)], 60, [9, 51]),
    ],
)
def test_each_column_has_its_longest_word_and_the_rest_goes_where_it_is_tight(
    columns: list[tuple[int, int]], room: int, widths: list[int]
) -> None:
    assert shared_out([Measurement(*column) for column in columns], room) == widths


def test_columns_stand_closer_together_before_a_cell_is_cut() -> None:
    table = Table("A caption.", tuple(Column(f"c{at}", "number") for at in range(5)), (("12345678",) * 5,))
    stream = io.StringIO()
    Console(file=stream, width=44).print(FittedTable(table, no_wrap=True))
    assert "…" not in stream.getvalue() and stream.getvalue().count("12345678") == 5
