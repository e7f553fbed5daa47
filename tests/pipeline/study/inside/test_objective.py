"""A study prices a repair under the objective that was asked for, as ``repair`` does."""

import pytest

from isobatch.pipeline.records.study import Condition
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.verify import Verified
from isobatch.pipeline.study.inside.crossing import Looked
from isobatch.pipeline.study.looked_into import records


@pytest.mark.parametrize(("objective", "how", "latency"), [("throughput", "padded", 1.08), ("latency", "alone", 1.0)])
def test_of_two_ways_that_hold_the_one_of_least_cost_is_the_record(objective: str, how: str, latency: float) -> None:
    verified = (Verified("drawn", {2: 0, 8: 0}, {2: 0, 8: 0}, 8, 2, top1_as_native=8, threads=1),)
    tried = tuple(
        Attempt("surgical", how=name, holds=True, verified=verified, ratios={1: (single,) * 6, 8: (batched,) * 6})
        for name, single, batched in (("alone", 1.0, 1.0), ("padded", 1.08, 0.7))
    )
    condition = Condition(threads=1, image_size=32)
    (repair,) = records(Looked(True, tried=tried), "drawn", condition, "default", objective)["repairs"]
    assert repair.note.startswith(how) and repair.latency_ratio["1"].median == latency
