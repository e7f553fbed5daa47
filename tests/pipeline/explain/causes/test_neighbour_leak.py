"""What stands beside an image, and whether it matters at a fixed N and place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.explain.causes import neighbour_leak
from isobatch.pipeline.explain.causes._influence import FACTORS, influence
from tests.pipeline.explain.causes.kernels import examined, last_bit, mean_leak


def test_a_leak_is_found_with_its_worst_neighbours() -> None:
    finding = neighbour_leak.probe(examined(mean_leak))
    assert finding.verdict == "supported"
    assert "beside it: its neighbours" in finding.evidence and "The worst of" in finding.evidence


def test_a_kernel_that_only_counts_rows_is_no_leak() -> None:
    finding = neighbour_leak.probe(examined(last_bit))
    assert finding.verdict == "refuted"
    assert "kept every bit" in finding.evidence


def test_a_leak_into_one_place_of_the_batch_is_found() -> None:
    def into_last(rows: NDArray[Any]) -> NDArray[Any]:
        out = rows.copy()
        out[-1] += np.float32(0.125) * rows[0] * (len(rows) > 1)
        return out

    effect = influence(examined(into_last))
    assert (effect.victim, effect.moves) == (2, True)


def test_the_change_is_a_function_of_the_neighbours_size() -> None:
    subject = examined(mean_leak)
    effect = influence(subject)
    changes = {neighbour.what: neighbour.change for neighbour in effect.seen}
    sizes = [changes[f"its neighbours times {factor}"] for factor in FACTORS]
    assert sizes == sorted(sizes)
    own = subject.alone.astype(np.float64)
    away = np.abs(subject.together.astype(np.float64) - own)[effect.victim]
    assert max(sizes) > away.max() == changes["its neighbours"]


def test_a_neighbour_that_makes_nan_is_the_worst() -> None:
    def fragile(rows: NDArray[Any]) -> NDArray[Any]:
        out = rows.copy()
        if len(rows) > 1 and np.abs(rows).max() > 500:
            out[:] = np.nan
        return out + np.float32(len(rows) > 1)

    effect = influence(examined(fragile))
    assert effect.worst.change == np.inf
    assert "inf" in effect.text()
