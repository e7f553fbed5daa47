"""A network that cannot be looked into: why, and the repairs that change nothing but its calls."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.shared.wrapped import Padded
from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import WHOLE, Canonical, Runner
from isobatch.models.spec.words import Artifact, Effective, Manifest, RunnerSettings
from isobatch.pipeline.explain.findings import Watched, why_closed
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.study.inside.crossing import LookAsked
from isobatch.pipeline.study.inside.in_worker import _as_a_whole
from tests.models.pytorch.small_networks import pixels


class Sealed:
    """Moves every value to the next float if there are several images; nothing of it can be seen but its rows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        rows = images.reshape(len(images), -1)[:, :5]
        return np.nextafter(rows, np.float32(9)) if len(images) > 1 else rows.copy()

    def effective(self) -> Effective:
        return Effective("fp32", "none", 0, 0)

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Runner:
        return Padded(self, rules[WHOLE])

    def why_closed(self) -> str:
        return "it is sealed"


def wanted(images: Images, batch_sizes: tuple[int, ...], cannot_win: str) -> LookAsked:
    artifact = Artifact("", Path(), Manifest({}, 0))
    settings = RunnerSettings(1)
    return LookAsked(
        "sealed", settings, "native", artifact, images, (), batch_sizes, 0, cannot_win=cannot_win, repair_s=60.0
    )


def test_a_sealed_network_says_why_and_is_repaired_by_its_calls(tmp_path: Path) -> None:
    images = store_images("drawn", tmp_path / "drawn", iter(pixels(4)))
    asked = wanted(
        images,
        (
            2,
            4,
        ),
        "",
    )
    runner = Sealed()
    assert not isinstance(runner, Watched)
    looked = _as_a_whole(asked, runner, images.read(0, 4), print)
    assert looked.why == "the graph of sealed cannot be looked into: it is sealed"
    records = {repair.name: repair for repair in repair_records(looked.tried or ())}
    assert records["pin-shape"].batch_invariant and records["pin-shape"].n_comparisons
    assert records["surgical"].state == records["one-graph"].state == "does-not-apply"
    assert _as_a_whole(replace(asked, repair=False), runner, images.read(0, 4), print).tried is None


def test_what_gives_no_reason_is_named_all_the_same() -> None:
    assert why_closed(object(), "ov-fp32") == "the graph of ov-fp32 cannot be looked into"


@pytest.mark.parametrize("why", ["", "another one is faster"])
def test_what_cannot_win_is_not_tried(why: str, tmp_path: Path) -> None:
    images = store_images("drawn", tmp_path / "drawn", iter(pixels(2)))
    asked = wanted(images, (2,), why)
    tried = _as_a_whole(asked, Sealed(), images.read(0, 2), print).tried or ()
    states = {attempt.name: attempt.too_dear for attempt in tried}
    assert states["pin-shape"] is bool(why) and not states["surgical"]
    records = {repair.name: repair for repair in repair_records(tried)}
    assert (records["pin-shape"].state == "not-tried") is bool(why)
    assert not records["pin-shape"].out_of_time and records["surgical"].state == "does-not-apply"
