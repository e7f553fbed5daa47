"""A variant with a repair that holds, as a candidate of its own: ``fp32+surgical``."""

from collections.abc import Sequence

from isobatch import PROGRAM
from isobatch.pipeline.compare.cost import per_second
from isobatch.pipeline.records.study import Cost, DecidedBy, Interval, Repair, VariantResult
from isobatch.pipeline.records.wording import clause, counted_comparisons

SWITCH = "switch"
"""The rung that leads to another variant, which is a candidate anyway."""


def with_repairs(variants: Sequence[VariantResult]) -> list[VariantResult]:
    """Every variant, behind each its repaired selves, in the order of the ladder."""
    every = []
    for variant in variants:
        repairs = [repair for repair in variant.repairs or () if (repair.batch_invariant or repair.top1_stable)]
        every += [variant, *(repaired_variant(variant, repair) for repair in repairs if repair.name != SWITCH)]
    return every


def repaired_variant(variant: VariantResult, repair: Repair) -> VariantResult:
    """The record of the variant as repaired. Its costs are the native ones times the measured ratios.

    Accuracy, agreement and error are the native ones where the singles are, byte by byte, the native singles. Else
    accuracy and error are unknown (close is not measured), and agreement is that of the singles that were verified.
    """
    as_native = repair.singles_as_native is True
    inputs = variant.cost.inputs if variant.cost else variant.decided_by.inputs if variant.decided_by else ""
    made = f" ({counted_comparisons(repair.n_comparisons)})" if repair.n_comparisons else ""
    what = "all bytes" if repair.batch_invariant else "every top-1"
    unknown = f"the {repair.name} repair changes its singles, and the accuracy of these was not measured"
    unseen = f"the {repair.name} repair changes its singles, and these were not compared with it"
    return variant.model_copy(
        update={
            "name": f"{variant.name}+{repair.name}",
            "verdict": "batch-invariant" if repair.batch_invariant else "top1-stable",
            "decided_by": DecidedBy(inputs=inputs, why=f"{what} of {repair.scope} are those of its own singles{made}"),
            "by_inputs": [],
            "comparisons": [
                comparison for comparison in variant.comparisons if as_native and comparison.kind == "vs-reference"
            ],
            "cost": variant.cost and _cost(variant.cost, repair),
            "cost_note": repair.unpriced and f"as {repair.unpriced}",
            "accuracy": variant.accuracy if as_native else None,
            "accuracy_drop": variant.accuracy_drop if as_native else None,
            "accuracy_note": variant.accuracy_note if as_native else unknown,
            "baseline": variant.baseline and as_native,
            "agreement": variant.agreement if as_native else repair.agreement,
            "agreement_note": unseen
            if variant.agreement and not as_native and not repair.agreement
            else variant.agreement_note,
            "repairs": None,
            "range": repair.range,
        }
    )


def native_name(name: str) -> str:
    """The variant of which one of this name is the repaired self; the name itself where it is no repaired self."""
    return native_and_rung(name)[0]


def native_and_rung(name: str) -> tuple[str, str]:
    """``fp32+surgical`` as ``("fp32", "surgical")``; the rung is empty where the name is no repaired self's."""
    native, _, rung = name.partition("+")
    return native, rung


def decided_where(decided: DecidedBy, name: str) -> str:
    """``on digits, at N = 8 ...``: what decided the verdict of the variant of that name. The scope of a repaired self
    names its input sets."""
    why = clause(decided.why)
    return why if native_and_rung(name)[1] else f"on {decided.inputs}, {why}"


def untried(variants: Sequence[VariantResult], name: str) -> str:
    """What tries the ways that time did not reach, of a repaired self that may thus be had cheaper; empty of others."""
    native, rung = native_and_rung(name)
    repairs = next((variant.repairs or [] for variant in variants if variant.name == native), [])
    late = bool(rung) and any(repair.out_of_time for repair in repairs)
    return f"{PROGRAM} repair --variant {native} with this study's flags tries another way" if late else ""


def at_most(variants: Sequence[VariantResult], name: str, standing: str | None) -> str:
    """What to add to the reason why it was not chosen: that a faster way may be left, unless it is as fast already."""
    if standing in ("leader", "as-fast") or not (remedy := untried(variants, name)):
        return ""
    return f"; at most this slow: {remedy}"


def _cost(native: Cost, repair: Repair) -> Cost:
    ratio = repair.latency_ratio.get("1")
    latency = scaled(native.latency_ms, ratio) if native.latency_ms and ratio else None
    ratios = {n: ratio for n, ratio in repair.throughput_ratio.items() if n in native.throughput_img_s}
    speeds = {n: scaled(native.throughput_img_s[n], ratio) for n, ratio in ratios.items()}
    alone = {"1": per_second(latency)} if latency and latency.median > 0 else {}
    return native.model_copy(update={"latency_ms": latency, "throughput_img_s": alone | speeds})


def scaled(native: Interval, ratio: Interval) -> Interval:
    """A native measurement times a ratio; its limits are those of both multiplied, which is on the wide side."""
    low, high = (
        None if limit is None or other is None else limit * other
        for limit, other in ((native.low95, ratio.low95), (native.high95, ratio.high95))
    )
    return Interval(median=native.median * ratio.median, low95=low, high95=high, n=min(native.n, ratio.n))
