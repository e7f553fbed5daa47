"""What a live runner is called with, and what is kept of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.pipeline.evidence.passes import call, run_passes
from isobatch.pipeline.evidence.plan import plan_passes
from isobatch.pipeline.repair.verify import Scope, time_ratios
from isobatch.pipeline.storage.files import write_bytes


class Spy:
    """A classifier of three classes that remembers the sizes of its calls."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        self.sizes.append(len(batch))
        return batch.reshape(len(batch), -1)[:, :3].copy()


@pytest.fixture
def images(tmp_path: Path) -> Images:
    values = np.random.default_rng(0).standard_normal((6, 3, 2, 2)).astype("<f4")
    return Images(
        "drawn", str(tmp_path / "images"), "float32", (6, 3, 2, 2), write_bytes(tmp_path / "images", [values])
    )


@pytest.mark.parametrize(("timed", "extra"), [(False, []), (True, [1, 2, 3])])
def test_a_timed_set_warms_every_size_once_and_keeps_nothing_of_it(
    images: Images, timed: bool, extra: list[int]
) -> None:
    spy, passes = Spy(), plan_passes(6, (2, 3), probes=False)
    ran = run_passes(spy, images, passes, lambda count: None, timed=timed)  # type: ignore[arg-type]
    rows, call_s, warm_up_s = ran
    assert sorted(spy.sizes) == sorted([1] * 6 + [2] * 3 + [3] * 2 + extra)
    assert {name: len(seconds) for name, seconds in call_s.items()} == dict(
        zip([p.id for p in passes], [6, 3, 2], strict=True)
    )
    assert len(warm_up_s) == len(extra) and all(0 < seconds < 60 for seconds in warm_up_s)
    assert rows[passes[0].id][1].shape == (6, 3)
    assert all(len(rows[p.id][0]) == 0 for p in passes[1:])


class Reusing(Spy):
    """The same out of one buffer for each size, as engines with bound outputs have."""

    def __init__(self, types: tuple[str, ...] = ("f4",)) -> None:
        super().__init__()
        self.types, self.buffers = types, dict[int, NDArray[Any]]()

    def run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        plain = super().run(batch).astype(self.types[len(self.sizes) % len(self.types)])
        kept = self.buffers.setdefault(len(batch), plain)
        if kept.dtype != plain.dtype:
            return plain
        kept[:] = plain
        return kept


def test_what_a_call_gave_stays_what_it_was_when_its_memory_is_used_again(images: Images) -> None:
    passes = plan_passes(6, (2, 3), probes=True)
    ran = run_passes(Reusing(), images, passes, lambda count: None, timed=False)  # type: ignore[arg-type]
    (_, singles), *others = ran.rows.values()
    assert (singles == images.read(0, 6).reshape(6, -1)[:, :3]).all()
    assert others and not any(len(index) for index, _ in others)


def test_calls_that_give_rows_of_other_kinds_are_refused_by_name(images: Images) -> None:
    passes = plan_passes(6, (2,), probes=False)
    with pytest.raises(ValueError, match="shape-mismatch: outputs of one kind are expected"):
        run_passes(Reusing(("f4", "f8")), images, passes, lambda count: None, timed=False)  # type: ignore[arg-type]


class Clock(Spy):
    """The same with a clock of its own."""

    def timed(self, batch: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        return self.run(batch), 123.0

    def device_memory(self) -> dict[str, int]:
        return {}


def test_a_runner_s_own_clock_is_believed_unless_both_are_to_be_timed_alike(images: Images) -> None:
    batch = images.read(0, 2)
    assert call(Clock(), batch)[1] == 123.0  # type: ignore[arg-type]
    assert 0 < call(Clock(), batch, wall=True)[1] < 60  # type: ignore[arg-type]
    assert 0 < call(Spy(), batch)[1] < 60  # type: ignore[arg-type]
    for native, repaired, own in ((Clock(), Clock(), True), (Clock(), Spy(), False), (Spy(), Clock(), False)):
        ratios = time_ratios(native, repaired, Scope([images], [2], {}, pairs=3), [2])  # type: ignore[arg-type]
        assert (ratios[2] == [1.0] * 3) is own


@pytest.mark.parametrize("outputs", [np.zeros((1, 3)), np.zeros((2, 3, 1)), np.zeros((2, 0)), np.zeros((2, 3), "U1")])
def test_what_is_not_one_row_of_numbers_an_image_is_refused_by_name(outputs: NDArray[Any]) -> None:
    class Wrong:
        def run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
            return outputs

    with pytest.raises(ValueError, match=r"(shape|type)-mismatch"):
        call(Wrong(), np.zeros((2, 3, 2, 2), np.float32))  # type: ignore[arg-type]
