"""What counts as an image's answer when a repair is verified: the network's own outcome, whatever it is."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.outcome import Outcome
from isobatch.pipeline.repair.rungs.recheck import Rechecked
from isobatch.pipeline.repair.verify import Scope, every_size, time_ratios, verify
from isobatch.pipeline.user.asked import Examples

Rows = NDArray[Any]


class Moved:
    """Its rows are what it is given; in a batch that of one image is another one, wherever it stands."""

    def __init__(self, image: Rows, becomes: Rows) -> None:
        self.image, self.becomes = image, becomes

    def run(self, images: Rows) -> Rows:
        rows = images.copy()
        if len(rows) > 1:
            rows[(images == self.image).all(axis=1)] = self.becomes
        return rows


def rows_of(*rows: list[float]) -> Examples:
    return Examples("given", np.array(rows, np.float32))


CASES = {
    "classes": (Outcome("classes"), rows_of([1, 2, 3], [3, 1, 2], [1, 3, 2]), [9, 0, 0], [1, 2, 9]),
    "binary": (Outcome("binary"), rows_of([0.1], [0.2], [-1]), [-0.1], [0.4]),
    "a probability": (Outcome("binary", threshold=0.5), rows_of([0.6], [0.2], [0.9]), [0.4], [0.7]),
    "labels": (Outcome("labels"), rows_of([1, -1, 5], [1, 1, 5], [-1, 1, 5]), [1, 1, 5], [2, -2, 5]),
    "embedding": (Outcome("embedding"), rows_of([1, 0.1], [1, 0], [0, 1]), [0.1, 1], [1, 0.2]),
    "one output of two": (Outcome("classes", 2, 4), rows_of([9, 0, 1, 2], [0, 9, 2, 1], [9, 0, 2, 1]), [9, 0, 2, 1],
                          [0, 9, 1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_answer_that_turns_is_counted_and_one_that_stays_is_not(case: str) -> None:
    outcome, examples, other, same = CASES[case]

    def flipped(move: list[float]) -> dict[int, int]:
        moved: Any = Moved(examples.rows[0], np.array(move, np.float32))
        images: Any = examples
        verified = verify(moved, moved, images, Scope([images], [3], {}, passes=every_size, outcome=outcome))
        assert verified.differing[3] and not verified.batch_invariant
        return verified.flipped

    assert all(flipped(other).values())
    assert not any(flipped(same).values())


def test_singles_that_changed_are_compared_with_the_reference_where_there_is_one() -> None:
    images: Any = rows_of([1, 2], [4, 3], [5, 6])
    flips: Any = type("Flips", (), {"run": lambda self, images: images[:, ::-1].copy()})()
    native: Any = Moved(np.zeros(2), np.zeros(2))

    def seen(ruled: Rows | None) -> tuple[bool, ...] | None:
        scope = Scope([images], [2], {}, passes=every_size, reference=lambda images: ruled)
        verified = verify(native, flips, images, scope)
        assert verified.batch_invariant and not verified.singles_as_native
        return verified.as_reference

    assert seen(np.array([[2.0, 1.0], [4.0, 3.0], [9.0, 8.0]])) == (True, False, True)
    assert seen(None) is None and seen(np.zeros((3, 5))) is None


def test_raw_outcomes_are_their_bytes() -> None:
    images: Any = rows_of([1, 2], [3, 4])
    moved: Any = Moved(images.rows[0], np.nextafter(images.rows[0], np.float32(9)))
    verified = verify(moved, moved, images, Scope([images], [2], {}, passes=every_size, outcome=Outcome("raw")))
    assert verified.flipped[2] == verified.differing[2] > 0 and not verified.top1_stable


@pytest.mark.parametrize(("outcome", "row"), [(Outcome("binary"), [0.01]), (Outcome("labels"), [5, -0.01, 5])])
def test_an_answer_near_its_threshold_is_run_again_alone(outcome: Outcome, row: list[float]) -> None:
    rows = np.array([row, [9] * len(row)], np.float32)
    runner: Any = Moved(rows[0], -rows[0])
    again = Rechecked(runner, margin=0.1, outcome=outcome)
    assert again.run(rows).tobytes() == rows.tobytes() and again.recomputed == 1
    sure = Rechecked(runner, margin=0.001, outcome=outcome)
    sure.run(rows)
    assert sure.recomputed == 0


class Scripted:
    """A runner whose own clock tells these seconds, call by call, and the last of them from then on."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)

    def timed(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        return np.ones((len(batch), 3), np.float32), self.seconds.pop(0) if self.seconds[1:] else self.seconds[0]

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.timed(batch)[0]

    def device_memory(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize(
    ("seconds", "pairs"),
    [((9, 1.1, 1.0, 1.1), 6), ((9, 1.1), 3), ((9, 1.0), 3), ((9, 1.0, 1.1, 1.0), 3)],
    ids=["the median alone is beyond", "all are beyond", "none is", "the median is within"],
)
def test_pairs_that_leave_a_free_repair_open_get_more(seconds: tuple[float, ...], pairs: int) -> None:
    images: Any = rows_of([1.0], [2.0])
    scope = Scope([images], [2], {}, enough_s=0, least=3)

    def ratios(free: dict[int, float]) -> list[float]:
        native, repaired = Scripted(1.0), Scripted(*seconds)
        ratios = time_ratios(native, repaired, scope, [2], free)
        return ratios[2]

    assert len(ratios({2: 1.05})) == pairs
    assert len(ratios({})) == 3
