"""Layers that depend on N only with one thread, or only above 16: seen by a look beyond what was studied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.repair.beyond_scope import look_beyond
from tests.pipeline.explain.test_locate import last_bit

Depends = Callable[[int, int], bool]  # on so many threads, at this N


class Threads:
    """Two linear layers of one signature, of which the first may depend on N, and a relu."""

    def __init__(self, depends: Depends) -> None:
        self.depends = depends
        self.threads = 2
        self.replayed: list[str] = []

    def __enter__(self) -> Self:
        return self

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        self.threads = 1
        try:
            yield
        finally:
            self.threads = 2

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        rows = images.reshape(len(images), -1)
        for name, kind in (("first", "linear"), ("last", "relu"), ("second", "linear")):
            see(Layer(name, kind, kind), (rows,), (rows,))
        return rows

    def replay(self, layer: str, inputs: Rows) -> Rows:
        self.replayed.append(layer)
        changes = layer == "first" and len(inputs[0]) > 1 and self.depends(self.threads, len(inputs[0]))
        return (last_bit(inputs[0]) if changes else inputs[0].copy(),)


IMAGES = np.random.default_rng(0).standard_normal((4, 3, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("depends", "seen"),
    [
        (lambda threads, n: n > 16, {(2, 17), (1, 17)}),
        (lambda threads, n: threads == 1, {(1, 8), (1, 17)}),
        (lambda threads, n: threads == 1 and n > 16, {(1, 17)}),
        (lambda threads, n: threads == 2 and n <= 8, set()),  # that was studied already
        (lambda threads, n: False, set()),
    ],
)
def test_what_depends_on_n_elsewhere_is_seen_there(depends: Depends, seen: set[tuple[int, int]]) -> None:
    runner = Threads(depends)
    looks = look_beyond(runner, IMAGES, 2, [2, 4, 8], 0)
    assert [(one["threads"], one["batch_size"]) for one in looks] == [(2, 17), (1, 8), (1, 17)]
    assert {(one["threads"], one["batch_size"]) for one in looks if one["layers"]} == seen
    assert all(one["layers"] in ([], ["first", "second"]) for one in looks)  # one speaks for its siblings
    assert all((one["shapes"], one["of_shapes"]) == (2, 2) for one in looks)
    assert "second" not in runner.replayed and runner.threads == 2


def test_what_time_was_too_short_for_is_counted() -> None:
    looks = look_beyond(Threads(lambda threads, n: True), IMAGES, 2, [2], 0, seconds=-1.0)
    assert all((one["shapes"], one["of_shapes"], one["layers"]) == (0, 2, []) for one in looks)


def test_with_one_thread_only_the_larger_n_is_new() -> None:
    looks = look_beyond(Threads(lambda threads, n: n > 16), IMAGES, 1, [2, 8], 0)
    assert [(one["threads"], one["batch_size"], one["layers"]) for one in looks] == [(1, 17, ["first", "second"])]
    assert look_beyond(Threads(lambda threads, n: True), IMAGES, 1, [17], 0) == []
