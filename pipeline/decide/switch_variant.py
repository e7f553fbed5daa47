"""The last rung of the ladder: another variant of the study, which is batch-invariant as it is.

Nothing is run for it: its verdict and its costs are the study's own evidence. So the two did not alternate call by call
as a repaired variant and the unrepaired one are, and the drift between rounds is in the ratio.
"""

from collections.abc import Sequence

from isobatch.pipeline.decide.policy import answer_obstacles, price
from isobatch.pipeline.decide.repaired_variants import SWITCH
from isobatch.pipeline.records.study import Cost, Interval, Policy, Repair, VariantResult
from isobatch.pipeline.records.wording import counted, listed

_ENOUGH_CALLS = 3


def with_switches(variants: Sequence[VariantResult], policy: Policy) -> list[VariantResult]:
    """The variants, behind the repairs of each that were tried the one of changing to another variant.

    To one that gives the answers demanded, and is a candidate of its own.
    """
    steady = [
        variant
        for variant in variants
        if variant.verdict == "batch-invariant"
        and variant.role == "candidate"
        and not answer_obstacles(variant, policy)
    ]
    return [
        variant
        if variant.repairs is None
        else variant.model_copy(update={"repairs": [*variant.repairs, _switch(variant, steady, policy)]})
        for variant in variants
    ]


def _switch(variant: VariantResult, steady: Sequence[VariantResult], policy: Policy) -> Repair:
    prices = [(paid, v) for v in steady if _comparable(variant, v) and (paid := price(v.cost, policy))]
    if not prices:
        why = "no variant of this study is batch-invariant, gives the answers demanded and was timed on the same images"
        return Repair(name=SWITCH, batch_invariant=None, scope="", note=why)
    _, chosen = min(prices, key=lambda priced: priced[0].cost)
    assert variant.cost is not None and chosen.cost is not None
    latencies = variant.cost.latency_ms, chosen.cost.latency_ms
    peaks = variant.cost.peak_memory_bytes, chosen.cost.peak_memory_bytes  # of workers that ran one variant alone
    verdicts = chosen.by_inputs
    images = listed(f"{counted(verdict.n_images, 'image')} of {verdict.inputs}" for verdict in verdicts)
    return Repair(
        name=SWITCH,
        batch_invariant=True,
        switched_to=chosen.name,
        scope=f"the whole study ({images})" if verdicts else "the whole study",
        singles_as_native=False,
        n_images=sum(verdict.n_images for verdict in verdicts),
        n_comparisons=sum(verdict.n_comparisons for verdict in verdicts),
        throughput_ratio=_throughput(variant.cost, chosen.cost),
        latency_ratio={"1": ratio(latencies[1], latencies[0])} if latencies[0] and latencies[1] else {},
        memory_ratio=peaks[1] / peaks[0] if peaks[0] and peaks[1] else None,
        note=f"{chosen.name} in its place, a candidate of its own; the ratios are from the study's own calls of both",
    )


def _comparable(variant: VariantResult, other: VariantResult) -> bool:
    """Whether both were timed on the same images."""
    mine, yours = variant.cost, other.cost
    return bool(mine and yours and (mine.inputs, mine.image_size) == (yours.inputs, yours.image_size))


def _throughput(native: Cost, other: Cost) -> dict[str, Interval]:
    """By N; of an N at which one of them was called once or twice, and one disturbed call decides, nothing."""
    mine, yours = native.throughput_img_s, other.throughput_img_s
    both = [n for n in mine if n != "1" and n in yours and min(mine[n].n, yours[n].n) >= _ENOUGH_CALLS]
    return {n: ratio(yours[n], mine[n]) for n in both}


def ratio(interval: Interval, other: Interval) -> Interval:
    """One measurement over another; its limits are the farthest that both limits allow, which is on the wide side."""
    low = None if interval.low95 is None or other.high95 is None else interval.low95 / other.high95
    high = None if interval.high95 is None or other.low95 is None else interval.high95 / other.low95
    return Interval(median=interval.median / other.median, low95=low, high95=high, n=min(interval.n, other.n))
