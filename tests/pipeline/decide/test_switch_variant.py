"""Changing to a variant that is batch-invariant already, priced from records alone."""

import pytest

from isobatch.pipeline.decide.agreement import agreement
from isobatch.pipeline.decide.policy import Policy
from isobatch.pipeline.decide.repaired_variants import with_repairs
from isobatch.pipeline.decide.switch_variant import ratio, with_switches
from isobatch.pipeline.records.study import VariantResult
from tests.pipeline.results import interval, repair, result


def switched(variants: list[VariantResult], policy: Policy | None = None) -> VariantResult:
    return with_switches(variants, policy or Policy())[0]


WILD = result("wild", "batch-variant", per_second=200, latency_ms=10, repairs=[repair()])


def test_the_cheapest_under_the_objective_takes_its_place() -> None:
    fast = result("fast", per_second=100, latency_ms=40)
    quick = result("quick", per_second=50, latency_ms=5)
    last_repair = (switched([WILD, fast, quick]).repairs or [])[-1]
    assert (
        last_repair.name == "switch"
        and last_repair.batch_invariant
        and last_repair.note.startswith("fast in its place")
    )
    assert last_repair.throughput_ratio["8"].median == pytest.approx(0.5) and "1" not in last_repair.throughput_ratio
    assert last_repair.latency_ratio["1"].median == pytest.approx(4.0)
    last_repair = (switched([WILD, fast, quick], Policy(objective="latency")).repairs or [])[-1]
    assert (
        last_repair.switched_to == "quick"
        and last_repair.note.startswith("quick")
        and last_repair.latency_ratio["1"].median == pytest.approx(0.5)
    )


def test_it_gives_the_answers_that_are_demanded() -> None:
    other_answers = result("fast", per_second=100, agreement=agreement([True] * 5 + [False] * 5, range(10), "fp64"))
    assert (switched([WILD, other_answers, result("slow", per_second=50)]).repairs or [])[-1].switched_to == "slow"


def test_it_is_no_candidate_of_its_own_and_only_where_repairs_were_tried() -> None:
    variants = with_switches([WILD, result("fast"), result("idle", "batch-variant")], Policy())
    assert [variant.name for variant in with_repairs(variants)] == ["wild", "wild+surgical", "fast", "idle"]
    assert variants[2].repairs is None


@pytest.mark.parametrize(
    "others",
    [[], [result("other", "batch-variant")], [result("other", cost=None)], [result("fp64", role="reference")]],
)
def test_where_there_is_none_it_says_so(others: list[VariantResult]) -> None:
    last_repair = (switched([WILD, *others]).repairs or [])[-1]
    assert last_repair.batch_invariant is None and "no variant of this study" in last_repair.note


def test_the_limits_of_a_ratio_are_the_farthest() -> None:
    found = ratio(interval(10, 0.1), interval(5, 0.2))
    assert (found.median, found.low95, found.high95) == (2.0, pytest.approx(1.5), pytest.approx(2.75))
    assert ratio(interval(10, None), interval(5)).low95 is None
