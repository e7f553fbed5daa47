"""What a variant costs here, from the times of the evidence's own calls: nothing is run twice for a timing."""

from collections.abc import Mapping, Sequence

import numpy as np

from isobatch.models.spec.words import Artifact
from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.records.study import Cost, DeviceMemory, Interval


def cost_of(rounds: Sequence[Evidence], artifact: Artifact, image_size: int) -> Cost:
    """The cost of one variant on one input set: medians over the calls of all rounds, with their intervals.

    Engines prepare kernels and memory at the first call of a shape. Where no call went ahead, the first of each N in
    each process prices nothing, unless an N has no others. ``throughput_img_s`` holds N = 1 too. ``drift``: by how much
    the second round's median latency differs from the first's, as a share.
    """
    singles = _calls(rounds, 1)
    latency = median_interval([1e3 * s for part in singles for s in part])
    throughput = {"1": per_second(latency)}
    for n in sorted({p.batch_size for evidence in rounds for p in evidence.find("batched")}):
        throughput[str(n)] = median_interval([n / s for part in _calls(rounds, n) for s in part])
    return Cost(
        inputs=rounds[0].inputs,
        image_size=image_size,
        latency_ms=latency,
        throughput_img_s=throughput,
        size_bytes=artifact.manifest.size_bytes,
        peak_memory_bytes=max(evidence.peak_memory_bytes for evidence in rounds) or None,
        device_memory=_most([evidence.device_memory for evidence in rounds if evidence.device_memory]),
        drift=float(np.median(singles[-1]) / np.median(singles[0]) - 1) if len(singles) > 1 else None,
    )


def _calls(rounds: Sequence[Evidence], n: int) -> list[list[float]]:
    """The seconds of the calls of that N that price, by round; rounds without any are left out."""
    every = [[s for p in evidence.passes if p.batch_size == n for s in evidence.call_s[p.id]] for evidence in rounds]
    later = [calls if evidence.warm_up_s else calls[1:] for evidence, calls in zip(rounds, every, strict=True)]
    return [calls for calls in later if calls] or [calls for calls in every if calls]


def _most(counted: Sequence[Mapping[str, int]]) -> DeviceMemory | None:
    """The larger of what the rounds' counters said; None where the device has none."""
    if not counted:
        return None
    most = {f"{name}_bytes": max(counts[name] for counts in counted) for name in counted[0]}
    return DeviceMemory(**most)


def per_second(latency_ms: Interval) -> Interval:
    """Images a second of calls of one image."""
    low, high = latency_ms.low95, latency_ms.high95
    return Interval(
        median=1e3 / latency_ms.median,
        low95=1e3 / high if high else None,
        high95=1e3 / low if low else None,
        n=latency_ms.n,
    )


def fastest_batch(cost: Cost) -> int:
    """The N of the highest median throughput."""
    return int(max(cost.throughput_img_s, key=lambda n: cost.throughput_img_s[n].median))
