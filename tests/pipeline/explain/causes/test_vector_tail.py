"""An activation whose last elements go another way, found with its width; and dependences that are something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.explain.causes import Subject, vector_tail

Step = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def tail(width: int) -> Step:
    """The elements of a call that fill no vector of this width are one unit in the last place higher."""

    def step(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = rows.reshape(-1).copy()
        rest = flat.size // width * width
        flat[rest:] = np.nextafter(flat[rest:], np.float32(np.inf))
        return flat.reshape(rows.shape)

    return step


def first_rows_differ(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.nextafter(rows, np.float32(np.inf)) if len(rows) > 1 else rows


class _Activation:
    def __init__(self, step: Step) -> None:
        self.step = step

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return (self.step(inputs[0]),)


def subject(step: Step, shape: tuple[int, ...] = (3, 5, 7), dtype: Any = np.float32) -> Subject:
    rows = np.random.default_rng(0).uniform(1, 2, (4, *shape)).astype(dtype)
    return Subject(_Activation(step), Layer("act", "gelu", "gelu"), (rows,), batch=4, threads=1, seed=0)


@pytest.mark.parametrize("width", [4, 8, 16, 32])
def test_a_tail_is_found_with_its_width(width: int) -> None:
    one = subject(tail(width))
    assert vector_tail.CAUSE.applies_to(one)
    finding = vector_tail.probe(one)
    assert finding.verdict == "supported", finding.evidence
    assert f"that fill no vector of {width}." in finding.evidence


@pytest.mark.parametrize("step", [first_rows_differ, lambda rows: rows + rows.mean() * np.float32(1e-3)])
def test_another_dependence_on_n_is_no_tail(step: Step) -> None:
    assert vector_tail.probe(subject(step)).verdict == "refuted"


def test_rows_without_a_difference_show_nothing() -> None:
    assert vector_tail.probe(subject(lambda rows: rows)).verdict == "inconclusive"
    assert vector_tail.probe(subject(tail(8), (16, 4))).verdict == "inconclusive"  # no call has a tail


def test_integers_are_not_asked() -> None:
    assert not vector_tail.CAUSE.applies_to(subject(lambda rows: rows, dtype=np.int32))
