"""Records of variants in short, for the tests of what is decided from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from isobatch.pipeline.compare.statistics import drop_upper
from isobatch.pipeline.decide.agreement import agreement
from isobatch.pipeline.records.study import (
    VERDICTS,
    Accuracy,
    AccuracyDrop,
    Agreement,
    Comparison,
    Contestant,
    Cost,
    DecidedBy,
    Effective,
    InputsVerdict,
    Interval,
    Race,
    Repair,
    VariantResult,
    Verdict,
)
from tests.fakes import CONDITION


def interval(median: float, spread: float | None = 0.02) -> Interval:
    """A median whose 95 % limits lie ``spread`` (a share) to either side; None: timed once."""
    if spread is None:
        return Interval(median=median, low95=None, high95=None, n=1)
    return Interval(median=median, low95=median * (1 - spread), high95=median * (1 + spread), n=20)


def result(
    name: str,
    verdict: Verdict | None = "batch-invariant",
    *,
    precision: str = "fp32",
    per_second: float = 100.0,
    spread: float | None = 0.02,
    latency_ms: float = 10.0,
    size_mb: float = 100.0,
    top1: float | None = None,
    discordant: tuple[int, int, int] | None = None,
    **more: Any,
) -> VariantResult:
    """A measured variant; ``discordant``: (only the reference right, only the variant right, n)."""
    cost = Cost(
        inputs="seed",
        image_size=224,
        latency_ms=interval(latency_ms, spread),
        throughput_img_s={"1": interval(per_second / 2, spread), "8": interval(per_second, spread)},
        size_bytes=int(size_mb * 1e6),
        peak_memory_bytes=None,
    )
    drop = None
    if discordant:
        b, c, n = discordant
        upper95 = drop_upper(b, c, n)
        drop = AccuracyDrop(
            value=(b - c) / n, upper95=upper95, n=n, only_reference_right=b, only_variant_right=c, decided=None
        )
    fields: dict[str, Any] = {
        "name": name,
        "runtime": "torch",
        "precision": precision,
        "status": "measured",
        "verdict": verdict,
        "decided_by": DecidedBy(inputs="seed", why=f"What {name} did.") if verdict else None,
        "cost": cost,
        "accuracy": None if top1 is None else Accuracy(top1=top1, low95=0.0, high95=1.0, n=400),
        "accuracy_drop": drop,
    }
    return VariantResult(**(fields | more))


def agreed(same: int, n: int, reference: str = "fp64") -> Agreement:
    """The agreement of so many of ``n`` images, each a cluster of its own."""
    agreed_with = agreement([i < same for i in range(n)], range(n), reference)
    return agreed_with.model_copy(update={"counted": f"{n} answers"})


def integer(name: str, verdicts: dict[str, Verdict], differing: int = 0, **more: Any) -> VariantResult:
    """An int8 variant with one verdict and one comparison at N = 8 for each input set."""
    by_inputs = [
        InputsVerdict(
            inputs=inputs,
            verdict=verdict,
            decided_by=DecidedBy(inputs=inputs, why=f"What {name} did on {inputs}."),
            n_images=40,
            n_comparisons=1,
            top1_flips=0,
            top1_flip_upper95=0.07,
        )
        for inputs, verdict in verdicts.items()
    ]
    comparisons = [
        Comparison(
            inputs=inputs,
            condition=CONDITION,
            kind="batch-vs-singles",
            batch_size=8,
            n_images=40,
            n_images_equal=40 - differing,
            bitwise_equal=differing == 0,
            n_elements=400,
            n_elements_differing=3 * differing,
            max_abs=0.5 if differing else 0.0,
            max_ulp=12.0 if differing else 0.0,
        )
        for inputs in verdicts
    ]
    effective = Effective(precision="int8", provider="cpu", int8_layers=53, weight_layers=54)
    worst = max(verdicts.values(), key=VERDICTS.index, default=None)
    fields: dict[str, Any] = {"precision": "int8", "by_inputs": by_inputs, "comparisons": comparisons}
    return result(name, worst, **(fields | {"effective": effective} | more))


def repair(name: str = "surgical", ratio: float = 1.0, **more: Any) -> Repair:
    """A repair that holds over one comparison, priced at N = 1 and 8."""
    fields: dict[str, Any] = {
        "name": name,
        "batch_invariant": True,
        "scope": "40 images of seed at N = 8",
        "singles_as_native": True,
        "n_comparisons": 1,
        "latency_ratio": {"1": interval(1 / ratio, 0.01)},
        "throughput_ratio": {"8": interval(ratio, 0.01)},
    }
    return Repair(**(fields | more))


def race(rounds: int = 40, *, spread: float = 0.004, **per_second: float) -> Race:
    """A steady race of calls at N = 8, by images a second; underscores in names stand for dashes, "__" for plus."""
    drawn = np.random.default_rng(7)

    def calls(speed: float) -> list[float]:
        return [float(one) for one in 8 / speed * np.exp(drawn.normal(0, spread, rounds))]

    names = {name: name.replace("__", "+").replace("_", "-") for name in per_second}
    return Race(
        inputs="seed",
        condition=CONDITION,
        objective="throughput",
        seconds=12.5,
        rounds=rounds,
        disturbed=1,
        unsteady=False,
        contestants=[
            Contestant(variant=names[name], batch_size=8, call_s=calls(speed), load_s=0.5, peak_memory_bytes=300)
            for name, speed in per_second.items()
        ],
    )
