from typing import Any

import pytest

from isobatch.pipeline.decide.batch_size import admissible, promising, roughly
from isobatch.pipeline.race.field import MOST, fastest_of, field
from isobatch.pipeline.records.study import Policy, VariantResult
from tests.pipeline.results import interval, repair, result


def names(variants: list[VariantResult], policy: Policy | None = None, free: int | None = None) -> list[str]:
    return [wanted.variant.name for wanted in field(variants, policy or Policy(), free)[0]]


def reasons(variants: list[VariantResult], free: int | None = None) -> dict[str, str]:
    return {rejection.variant: rejection.why for rejection in field(variants, Policy(), free)[1]}


def test_who_takes_more_than_four_times_as_long_is_clearly_slower_and_from_twice_on_doubted() -> None:
    speeds = {"slow": 24.0, "doubted": 49.0, "fast": 100.0, "near": 51.0}
    variants = [result(name, per_second=speed) for name, speed in speeds.items()]
    asked = field(variants, Policy(), None)[0]
    assert [(wanted.variant.name, wanted.doubted) for wanted in asked] == [
        ("fast", False),
        ("near", False),
        ("doubted", True),
    ]
    assert reasons(variants) == {"slow": "clearly slower (4.17 times the time of fast in the passes)"}


def test_six_are_live_at_once_at_most() -> None:
    variants = [result(f"v{i}", per_second=100 + i) for i in range(8)]
    assert names(variants) == [f"v{i}" for i in (7, 6, 5, 4, 3, 2)]
    assert reasons(variants).keys() == {"v0", "v1"} and MOST == 6


def test_no_more_than_memory_holds() -> None:
    def heavy(name: str, per_second: float) -> VariantResult:
        variant = result(name, per_second=per_second)
        assert variant.cost is not None
        return variant.model_copy(update={"cost": variant.cost.model_copy(update={"peak_memory_bytes": 400})})

    variants = [heavy("a", 100), heavy("b", 99), heavy("c", 98)]
    assert names(variants, free=900) == ["a", "b"]
    assert "memory" in reasons(variants, free=900)["c"]
    assert names(variants, free=100) == ["a"]  # one is raced whatever there is


def test_the_cheapest_repaired_self_enters_and_the_fastest_unstable_one_for_the_price() -> None:
    mended = result(
        "wild", "batch-variant", per_second=200, repairs=[repair(ratio=0.8), repair("pin-shape", ratio=0.95)]
    )
    assert names([result("steady", per_second=120), mended]) == ["wild+pin-shape", "steady", "wild"]


def test_who_meets_no_demand_is_neither_raced_nor_told() -> None:
    variants = [result("good"), result("broken", "invalid", per_second=900), result("fp64", None, role="reference")]
    assert names(variants) == ["good"] and reasons(variants) == {}
    assert field([variants[1]], Policy(), None) == ([], [])


def test_with_size_as_the_objective_only_the_small_are_raced() -> None:
    variants = [result("large"), result("small", size_mb=25.0), result("as-small", size_mb=26.0, per_second=90)]
    assert names(variants, Policy(objective="size")) == ["small", "as-small"]


def sized(**per_second: float) -> Any:
    variant = result("v")
    assert variant.cost is not None
    speeds = {n.removeprefix("n"): interval(value) for n, value in per_second.items()}
    return variant.cost.model_copy(update={"throughput_img_s": speeds, "latency_ms": interval(10.0)})


def test_n_that_keep_the_limit_on_latency_are_open() -> None:
    cost = sized(n1=100, n4=200, n8=210, n16=260)  # calls of 10, 20, 38 and 62 ms
    assert roughly(cost, Policy()) == (16, pytest.approx(1 / 260))
    assert list(admissible(cost, Policy(max_latency_ms=41.0))) == [1, 4, 8]
    assert roughly(cost, Policy(max_latency_ms=39.0)) == (4, 0.005)  # 38 ms keeps it by too little
    assert roughly(cost, Policy(max_latency_ms=5.0)) == (1, 0.01)  # which a race may show to be 5 ms
    assert roughly(cost, Policy(max_latency_ms=4.9)) is None
    assert list(admissible(cost, Policy(objective="latency"))) == [1]
    assert promising(cost, Policy()) == [16] and promising(cost, Policy(max_latency_ms=60.0)) == [8, 4]


def test_the_fastest_of_a_precision() -> None:
    variants = [result("a"), result("b", per_second=120), result("c", precision="int8", per_second=300)]
    fastest = fastest_of(variants, Policy(), "fp32")
    assert fastest is not None and fastest.variant.name == "b"
    assert fastest_of(variants, Policy(), "bf16") is None


def test_what_the_passes_show_to_be_a_little_too_slow_is_raced_all_the_same() -> None:
    variants = [result("quick", per_second=95), result("slow", per_second=49, size_mb=25)]
    assert names(variants, Policy(min_throughput_img_s=100)) == ["quick"]
    assert names(variants, Policy(min_throughput_img_s=80, objective="size")) == ["quick"]  # the small one is too slow
    assert names(variants, Policy(max_latency_ms=15.0)) == ["quick"]  # 21 and 41 ms at N = 1
    assert names(variants, Policy(max_latency_ms=9.0)) == []
