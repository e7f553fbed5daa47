"""What is made again from a repair's delivery is, byte for byte, what the rung built."""

import json
import math
from typing import Any

import pytest

from isobatch.models.spec.change import Remade
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.race.in_worker import rebuilt
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.ladder import attempts, climb
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.repair.rungs import Bench, Rung, all_rungs
from isobatch.pipeline.repair.verify import Scope
from isobatch.pipeline.user.asked import Examples
from tests.models.pytorch.small_networks import OneUlpWhenBatched, opened, pixels, with_planted

IMAGES = pixels(4)
SIZES = (2, 3, 4)
DRAWN: Any = Examples("drawn", IMAGES)


@pytest.mark.parametrize("rung", all_rungs(), ids=lambda rung: rung.name)
def test_a_repair_is_built_again_from_its_record(rung: Rung) -> None:
    network = with_planted(OneUlpWhenBatched())
    with opened(network) as runner:
        bench = Bench(runner, 2, IMAGES, SIZES, locate(runner, IMAGES, list(SIZES), 0))
        tried = climb(bench, Scope([DRAWN], SIZES, {}), math.inf, [rung.name])
        (record,) = repair_records([Attempt.of(json.loads(json.dumps(one.to_json()))) for one in attempts(tried)])
        if record.state not in ("holds", "holds-top1"):
            assert record.delivery is None
            return
        assert record.delivery is not None
        made = record.delivery.change
        candidate = next(
            attempt.candidate for attempt in tried if attempt.candidate and attempt.candidate.change == made
        )
        with candidate.build(runner) as built:
            expected = built.run(IMAGES).tobytes()
    with opened(network) as fresh, rebuilt(Remade(made, record.delivery.serving), fresh, DRAWN) as again:
        assert again.run(IMAGES).tobytes() == expected
