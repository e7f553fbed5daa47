"""Over what a repair is verified, and by what it is screened: what shows nothing fails none, one slow call neither."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.evidence.by_value import first_round
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.repair.ladder import climb
from isobatch.pipeline.repair.layers import survey
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung
from isobatch.pipeline.repair.verify import Passes, Scope, every_image, every_size
from tests.pipeline.explain.test_locate import Planted, last_bit
from tests.pipeline.repair.test_layers import stored


@pytest.mark.parametrize("passes", [first_round, every_image, every_size])
def test_a_set_of_which_no_batch_can_be_formed_fails_no_repair(passes: Passes, tmp_path: Path) -> None:
    sets = [stored(tmp_path / str(count), count) for count in (4, 1, 2)]
    runner = Planted(last_bit)
    located, shapes = survey(runner, sets[0].read(0, 4), 4, 7, lambda n: None)
    bench = Bench(runner, 1, sets[0].read(0, 4), (3, 4), located, shapes)
    tried = climb(bench, Scope(sets, (3, 4), {}, passes=passes, stop_at_first=True), math.inf, ["surgical"])
    assert tried[0].holds and [verified.n_images for verified in tried[0].verified] == [4]


class Scripted(Planted):
    """By its own clock it takes these seconds, call by call, and the last of them from then on."""

    def __init__(self, *seconds: float) -> None:
        super().__init__(lambda rows: rows)
        self.seconds = list(seconds)

    def timed(self, images: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        return self.run(images), self.seconds.pop(0) if self.seconds[1:] else self.seconds[0]

    def device_memory(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize(("seconds", "dear"), [((9, 9, 1), False), ((9, 9, 9, 9, 9, 9), True)])
def test_a_repair_is_called_too_dear_by_two_calls_and_not_by_one(
    seconds: tuple[float, ...], dear: bool, tmp_path: Path
) -> None:
    def rung(name: str, *taken: float) -> Rung:
        def apply(bench: Bench) -> Iterator[Candidate]:
            yield Candidate(lambda native: Scripted(*taken), name)

        return Rung(1, "", lambda bench: "", apply, name)

    images = stored(tmp_path, 4)
    bench = Bench(Scripted(1.0), 1, images.read(0, 4), (2, 4), Located({}, True, []))
    scope = Scope([images], (2, 4), {}, pairs=2, least=2, screen=2)
    first, second = climb(bench, scope, math.inf, rungs=[rung("first", 2.0), rung("second", *seconds, 1.0)])
    assert first.holds and not first.cheap
    assert (second.too_dear, second.holds) == (dear, None if dear else True)
