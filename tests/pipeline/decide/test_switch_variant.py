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
    found = (switched([WILD, fast, quick]).repairs or [])[-1]
    assert found.name == "switch" and found.batch_invariant and found.note.startswith("fast in its place")
    assert found.throughput_ratio["8"].median == pytest.approx(0.5) and "1" not in found.throughput_ratio
    assert found.latency_ratio["1"].median == pytest.approx(4.0)
    found = (switched([WILD, fast, quick], Policy(objective="latency")).repairs or [])[-1]
    assert (
        found.switched_to == "quick"
        and found.note.startswith("quick")
        and found.latency_ratio["1"].median == pytest.approx(0.5)
    )


def test_it_gives_the_answers_that_are_demanded() -> None:
    other_answers = result("fast", per_second=100, agreement=agreement([True] * 5 + [False] * 5, range(10), "fp64"))
    assert (switched([WILD, other_answers, result("slow", per_second=50)]).repairs or [])[-1].switched_to == "slow"


def test_it_is_no_candidate_of_its_own_and_only_where_repairs_were_tried() -> None:
    variants = with_switches([WILD, result("fast"), result("idle", "batch-variant")], Policy())
    assert [one.name for one in with_repairs(variants)] == ["wild", "wild+surgical", "fast", "idle"]
    assert variants[2].repairs is None


@pytest.mark.parametrize(
    "others",
    [[], [result("other", "batch-variant")], [result("other", cost=None)], [result("fp64", role="reference")]],
)
def test_where_there_is_none_it_says_so(others: list[VariantResult]) -> None:
    found = (switched([WILD, *others]).repairs or [])[-1]
    assert found.batch_invariant is None and "no variant of this study" in found.note


def test_the_limits_of_a_ratio_are_the_farthest() -> None:
    found = ratio(interval(10, 0.1), interval(5, 0.2))
    assert (found.median, found.low95, found.high95) == (2.0, pytest.approx(1.5), pytest.approx(2.75))
    assert ratio(interval(10, None), interval(5)).low95 is None
