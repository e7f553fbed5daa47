"""The time that a repair says is left: by the pace of the network at hand, whatever its size."""

from typing import Any

import pytest

from isobatch.pipeline.repair.crossing import RepairTold
from isobatch.pipeline.repair.remaining import Remaining, Work, work


class Told:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.planned: list[float] = []
        self.labels: list[str] = []

    def plan(self, total_cost: float, *, real: bool) -> None:
        assert real
        self.planned.append(total_cost)

    def step(self, label: str, cost_done: float) -> None:
        self.labels.append(label)


@pytest.mark.parametrize("seconds_each", [0.001, 1.0])
def test_what_is_left_follows_the_images_that_were_run(seconds_each: float) -> None:
    told: Any = Told()
    now = [0.0]
    remaining = Remaining(told, "fp32", Work(look=100, candidate=200, serve=50, processes=0), clock=lambda: now[0])

    def say(passed: int = 0, **more: Any) -> None:
        now[0] += seconds_each * passed
        remaining.told(RepairTold(images=passed, **more).to_json())

    now[0] = 60.0  # opening is no image's
    say(doing="does it need a repair?")
    assert told.planned == []  # nothing is known of its pace
    say(40)
    say(doing="looking at every layer")
    say(60)
    now[0] += 90.0  # nor is trying what may be changed
    say(more=True)
    say(doing="surgical: verifying")
    say(150)
    say(more=True)  # that one did not hold
    say(doing="pin-shape: verifying")
    remaining.written()
    left = [260 + 50, 200 + 50, 200 + 50, 50]
    assert told.planned == pytest.approx([seconds_each * images for images in left])
    assert told.labels[0] == "opening fp32" and told.labels[-1] == "fp32: pin-shape: verifying"


def test_the_work_of_a_scope() -> None:
    planned = work([4, 2], [2, 3, 4], threads=2)
    assert planned.serve == 2 * (4 * 4 + 2 * 2) and planned.processes == 2 * 2 + 2
    assert work([4, 2], [2, 3, 4], threads=1).look * 2 == planned.look
