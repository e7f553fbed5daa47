import pytest

from pipeline.records import Comparison, DecidedBy
from reports.blocks import Table
from reports.sections.condition_map import blocks, sign
from tests.fakes import CONDITION
from tests.pipeline.results import result
from tests.reports.studies import study


def compared(n: int = 2, **changes: object) -> Comparison:
    fields: dict[str, object] = {
        "inputs": "seed",
        "condition": CONDITION,
        "kind": "batch-vs-singles",
        "batch_size": n,
        "n_images": 4,
        "n_images_equal": 4,
        "bitwise_equal": True,
        "max_abs": 0.0,
        "top1_flips": 0,
    }
    return Comparison(**(fields | changes))  # type: ignore[arg-type]


EQUAL, MOVED, FLIPPED = (
    compared(),
    compared(bitwise_equal=False, max_abs=1.0),
    compared(bitwise_equal=False, max_abs=1.0, top1_flips=1),
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], None),
        ([EQUAL], "="),
        ([EQUAL, MOVED], "≈"),
        ([FLIPPED, EQUAL], "≠"),
        ([FLIPPED, compared(kind="repeat", bitwise_equal=False, max_abs=1.0)], "?"),
        ([EQUAL, compared(bitwise_equal=False, max_abs=None, issues=("shape-mismatch",))], "×"),
        ([compared(issues=("nan",))], "×"),
    ],
)
def test_a_cell_shows_the_worst_of_its_comparisons(found: list[Comparison], expected: str | None) -> None:
    assert sign(found) == expected


def test_one_row_a_condition_with_the_verdict_where_it_was_decided() -> None:
    capped = CONDITION.model_copy(update={"isa": "avx2"})
    rotated = CONDITION.model_copy(update={"position": 1})
    made = [
        EQUAL,
        compared(4, kind="position", condition=rotated),
        compared(2, condition=capped, bitwise_equal=False, max_abs=1.0),
        compared(4, condition=capped),
    ]
    decided = DecidedBy(inputs="seed", condition=capped, batch_size=2, why="N = 2")
    variant = result("fp32", "batch-variant", comparisons=made, decided_by=decided)
    (table,) = blocks(study([variant]))
    assert isinstance(table, Table)
    assert [column.title for column in table.columns][3:5] == ["N = 2", "N = 4"]
    assert [row[3:] for row in table.rows] == [
        ("=", None, "=", None, None),
        ("≈", "=", None, None, "batch-variant"),
    ]
