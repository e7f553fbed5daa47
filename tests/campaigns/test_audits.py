"""Audits of the harness itself, after those of MLPerf Inference: it measures what it says, on the engines it runs.

MLPerf's are accuracy in performance mode (TEST01) and no caching of repeated samples (TEST04).
"""

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.registry import all_variants, find_variant, installed, load
from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.evidence.passes import run_passes
from isobatch.pipeline.evidence.plan import plan_passes
from tests.models.conftest import stored_images

EVERY = [row.name for row in all_variants() if not row.optional and (not row.extra or installed(row))]
SHORT = ("fp32", "int8-dynamic")
SIZES = (2, 3, 4)
Built = Callable[[str], Artifact]


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.full] * (name not in SHORT)) for name in EVERY])
def variant(request: pytest.FixtureRequest) -> str:
    """Every variant in a full campaign, else two that are made at once."""
    return str(request.param)


@contextmanager
def opened(built: Built, variant: str) -> Iterator[Runner]:
    runner: Runner = load(find_variant(variant).open)(built(variant), RunnerSettings(threads=1))
    with runner:
        yield runner


class Recorded:
    """Passes calls on, and keeps what went in and what came out."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.calls: list[tuple[str, NDArray[Any]]] = []

    def run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        rows = self.runner.run(batch)
        self.calls.append((hashlib.sha256(batch.tobytes()).hexdigest(), rows.copy()))
        return rows


def test_what_is_timed_is_what_is_compared(resnet18_artifact: Built, variant: str, tmp_path: Path) -> None:
    """Every timed call's rows are the evidence's, and a call that only warms up gives the same bytes as its twin."""
    images = stored_images(tmp_path, count=8, seed=3)
    passes = plan_passes(8, SIZES, probes=False, timed=True)
    with opened(resnet18_artifact, variant) as runner:
        spy = Recorded(runner)
        rows, call_s, _ = run_passes(spy, images, passes, lambda count: None, timed=True)  # type: ignore[arg-type]
    by_input: dict[str, set[bytes]] = {}
    for key, out in spy.calls:
        by_input.setdefault(key, set()).add(out.tobytes())
    assert all(len(outputs) == 1 for outputs in by_input.values()), "equal bytes in, other bytes out"
    assert len(spy.calls) == sum(map(len, call_s.values())) + len({p.batch_size for p in passes})
    assert all(seconds > 0 for spent in call_s.values() for seconds in spent)
    singles = rows[passes[0].id][1]
    for chosen in passes:
        kept = singles[list(chosen.images)].copy()
        index, values = rows[chosen.id]
        kept[index] = values
        for start in range(chosen.start, chosen.stop, chosen.batch_size):
            batch = images.read(start, start + chosen.batch_size)
            (seen,) = by_input[hashlib.sha256(batch.tobytes()).hexdigest()]
            at = start - chosen.start
            assert kept[at : at + chosen.batch_size].tobytes() == seen, chosen.id


def median_s(runner: Runner, batches: list[NDArray[np.float32]]) -> float:
    """Of the processor's time, which no other program takes part in."""
    spent = []
    for batch in batches:
        begin = time.process_time()
        runner.run(batch)
        spent.append(time.process_time() - begin)
    return statistics.median(spent)


def test_repeated_samples_are_computed_again(resnet18_artifact: Built, variant: str, tmp_path: Path) -> None:
    """A cache would answer an image it knows at once, or an altered one in the same place with the old answer."""
    images = stored_images(tmp_path, count=24, seed=4)
    every = [images.read(i, i + 1) for i in range(len(images))]
    with opened(resnet18_artifact, variant) as runner:
        runner.run(every[0])
        shares = []
        for _ in range(3):
            distinct = median_s(runner, every)
            shares.append(median_s(runner, [every[0]] * len(every)) / distinct)
        assert statistics.median(shares) > 0.5, shares
        batch = every[0].copy()
        first = runner.run(batch).tobytes()
        batch[:] = every[1]
        assert runner.run(batch).tobytes() == runner.run(every[1].copy()).tobytes() != first
        batch[:] = every[0]
        assert runner.run(batch).tobytes() == first


def rows_of(runner: Runner, images: Images, order: list[int], n: int) -> dict[int, bytes]:
    """Each image's row, of whole batches of n in this order."""
    whole, found = images.read(0, len(images)), {}
    for start in range(0, len(order) - len(order) % n, n):
        chosen = order[start : start + n]
        for image, row in zip(chosen, runner.run(whole[chosen]), strict=True):
            found[image] = row.tobytes()
    return found


def test_the_order_of_images_changes_no_row_of_an_invariant_network(
    resnet18_artifact: Built, variant: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    images = stored_images(tmp_path, count=12, seed=5)
    forwards = list(range(12))
    orders = [forwards, forwards[::-1], np.random.default_rng(6).permutation(12).tolist()]
    with opened(resnet18_artifact, variant) as runner:
        singles = rows_of(runner, images, forwards, 1)
        invariant = [n for n in SIZES if rows_of(runner, images, forwards, n) == singles]
        for order in orders:
            assert rows_of(runner, images, order, 1) == singles
            for n in invariant:
                assert rows_of(runner, images, order, n) == singles, f"N = {n}, {order}"
    tell(f"{variant}: three orders give the same rows at N = 1 and at the invariant of {SIZES}: {invariant}")
