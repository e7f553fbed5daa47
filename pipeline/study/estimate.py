"""What a plan would cost: rough seconds and bytes of evidence, before anything is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isobatch.models.registry import find_variant
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.prepare.pace import cost

_BYTES = {"fp64": 8, "fp16": 2, "bf16": 2}  # of a logit; 4 otherwise
_UNKNOWN_CLASSES = 1000


@dataclass(frozen=True)
class Estimate:
    """Rough wall seconds on two cores; bytes of evidence if no row differs from its singles, and if every row does."""

    seconds: float
    least_bytes: int
    most_bytes: int

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.seconds + other.seconds, self.least_bytes + other.least_bytes, self.most_bytes + other.most_bytes
        )


def estimate(job: Job, num_classes: int | None) -> Estimate:
    """The estimate of one job. ``num_classes`` None: 1000 are assumed."""
    spec = find_variant(job.variant)
    row = _BYTES.get(spec.precision, 4) * (num_classes or _UNKNOWN_CLASSES)
    singles = sum(p.stop - p.start for p in job.passes if p.kind == "singles")
    rows = sum(len(p.images) for p in job.passes)
    return Estimate(cost(spec, job.images_passed, job.condition.image_size), singles * row, rows * (row + 8))


def total(jobs: Sequence[Job], num_classes: int | None) -> Estimate:
    """The sum over jobs, run one after the other."""
    return sum((estimate(job, num_classes) for job in jobs), Estimate(0.0, 0, 0))
