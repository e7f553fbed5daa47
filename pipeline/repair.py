"""Making a variant batch-invariant, inside a worker: verified bitwise over a scope, priced against its native self."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from models.images import Images
from models.spec import Runner
from pipeline.evidence import bits, differing_rows
from pipeline.passes import call, run_pass
from pipeline.plan import plan_passes

PAIRS = 5  # alternating pairs of calls a price is the median of; the first pair warms up and is not counted


@dataclass
class Verified:
    """Whether the repaired rows are those of its own singles at every N, and whether those are the native singles."""

    inputs: str
    differing: dict[int, int] = field(default_factory=dict)  # images whose bytes differ, by N
    n_images: int = 0
    n_comparisons: int = 0
    singles_as_native: bool = True

    @property
    def batch_invariant(self) -> bool:
        """No image differed at any N."""
        return self.n_comparisons > 0 and not any(self.differing.values())


def verify(
    native: Runner, repaired: Runner, images: Images, batch_sizes: Sequence[int], done: Callable[[int], None]
) -> Verified:
    """Run the repaired variant over the whole scope: singles, every N, one rotation, one outlier neighbour."""
    passes = plan_passes(len(images), batch_sizes, probes=True)
    found = Verified(images.name, n_images=len(images))
    singles, _ = run_pass(repaired, images, passes[0], done)
    plain, _ = run_pass(native, images, passes[0], done)
    found.singles_as_native = bool((bits(singles) == bits(plain)).all())
    for chosen in passes[1:]:
        outputs, _ = run_pass(repaired, images, chosen, done)
        count = len(differing_rows(singles[list(chosen.images)], outputs))
        found.differing[chosen.batch_size] = found.differing.get(chosen.batch_size, 0) + count
        found.n_comparisons += 1
    return found


def price(
    native: Runner, repaired: Runner, images: Images, batch_sizes: Sequence[int], done: Callable[[int], None]
) -> dict[int, list[float]]:
    """Time of the repaired call over time of the native call, by N: alternating calls on the same batch, one worker."""
    ratios: dict[int, list[float]] = {}
    for n in batch_sizes:
        batch = images.read(0, n)
        for turn in range(PAIRS + 1):
            spent = [call(runner, batch)[1] for runner in ((native, repaired) if turn % 2 else (repaired, native))]
            first, second = spent if turn % 2 else reversed(spent)
            if turn:
                ratios.setdefault(n, []).append(second / first)
            done(2 * n)
    return ratios


def priced_sizes(n_images: int, batch_sizes: Sequence[int]) -> list[int]:
    """The N to price: one image alone, and every tested N of at least 8 (else the largest) that the set can fill."""
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    return [1, *([n for n in tested if n >= 8] or tested[-1:])]
