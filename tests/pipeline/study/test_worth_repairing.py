"""Whose repairs are left out: never the baseline's, and never one that might be chosen."""

from typing import Any

import pytest

from isobatch.models.registry import find_variant
from isobatch.pipeline.records.study import Agreement, Cost, Interval, Policy, VariantResult
from isobatch.pipeline.study.worth_repairing import cannot_win, not_tried


def interval(median: float) -> Interval:
    return Interval(median=median, low95=None, high95=None, n=2)


def variant(name: str, verdict: str, images_per_s: float, agrees: float = 1.0, **more: Any) -> VariantResult:
    spec = find_variant(name)
    cost = Cost(
        inputs="digits",
        image_size=224,
        latency_ms=interval(1e3 / images_per_s),
        throughput_img_s={"1": interval(images_per_s), "8": interval(2 * images_per_s)},
        size_bytes=1,
        peak_memory_bytes=None,
    )
    agreement = Agreement(share=agrees, low95=0.0, high95=1.0, n=16, n_answers=16, reference="fp64")
    fields = {"runtime": spec.runtime, "precision": spec.precision, "status": "measured", "verdict": verdict}
    return VariantResult(name=name, **fields, cost=cost, agreement=agreement, **more)  # type: ignore[arg-type]


SLOW = variant("ort-int8-dynamic", "batch-variant", 10)


def test_what_is_slower_than_an_invariant_variant_is_left_out_with_the_reason() -> None:
    reason = cannot_win([variant("int8-x86", "batch-invariant", 30), SLOW], Policy())
    assert list(reason) == ["ort-int8-dynamic"]
    assert reason["ort-int8-dynamic"] == "int8-x86 is batch-invariant as it is, and clearly faster"
    why = not_tried("ort-int8-dynamic", reason["ort-int8-dynamic"])
    assert why.startswith("not tried: int8-x86 is") and "repair --variant ort-int8-dynamic" in why
    assert not_tried("ort-int8-dynamic", "") == ""


@pytest.mark.parametrize(
    ("others", "policy"),
    [
        ([variant("int8-x86", "batch-invariant", 11)], Policy()),  # not clearly faster
        ([variant("int8-x86", "top1-stable", 30)], Policy()),  # not invariant
        ([variant("int8-x86", "batch-invariant", 30, agrees=0.5)], Policy()),  # it may miss the demand
        ([variant("int8-x86", "batch-invariant", 30, agrees=0.95)], Policy()),  # it agrees less often
        ([variant("int8-x86", "batch-invariant", 30)], Policy(objective="size")),
        ([variant("int8-x86", "batch-invariant", 30)], Policy(max_size_mb=10.0)),
        ([], Policy()),
    ],
)
def test_what_might_be_chosen_is_repaired(others: list[VariantResult], policy: Policy) -> None:
    assert cannot_win([*others, SLOW], policy) == {}


def test_the_baseline_is_always_repaired() -> None:
    slow = variant("fp32", "batch-variant", 10, baseline=True)
    assert cannot_win([variant("int8-x86", "batch-invariant", 30), slow], Policy()) == {}
