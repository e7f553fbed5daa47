"""A set run in parts is the set run whole: the same calls, the same rows, whatever else a part holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.evidence.evidence import Evidence, Pass
from isobatch.pipeline.evidence.parts import cut, joined, passes_within
from isobatch.pipeline.evidence.passes import run_passes
from isobatch.pipeline.evidence.plan import Job, plan_passes
from isobatch.pipeline.evidence.stored import read_evidence, write_evidence
from isobatch.pipeline.records.study import NEIGHBOURS, Condition
from isobatch.pipeline.storage.files import write_bytes

COUNT, SIZES = 29, (2, 3, 4)
PASSES = plan_passes(COUNT, SIZES, probes=True, timed=True, rotations=(1, 2), neighbours=NEIGHBOURS)
AT = Condition(threads=1, image_size=2)


class Sensitive:
    """A classifier whose every row depends on its batch: its size, its order and its other images."""

    def __init__(self) -> None:
        self.calls: set[bytes] = set()

    def run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        self.calls.add(batch.tobytes())
        rows = batch.reshape(len(batch), -1)[:, :5].copy()
        rows[::2] += np.float32(len(batch) - 1) * rows.mean(axis=0)
        return rows


@pytest.fixture
def images(tmp_path: Path) -> Images:
    values = np.random.default_rng(0).standard_normal((COUNT, 3, 2, 2)).astype("<f4")
    path = tmp_path / "images"
    return Images("drawn", str(path), "float32", (COUNT, 3, 2, 2), write_bytes(path, [values]))


def evidence(runner: Sensitive, images: Images, passes: tuple[Pass, ...], whole: str = "") -> Evidence:
    ran = run_passes(runner, images, passes, lambda count: None, timed=False)  # type: ignore[arg-type]
    warm_up_s = (float(passes[0].start),)
    clips = {"layer": (passes[0].stop, 100)}
    return Evidence(
        variant="fake",
        inputs="drawn",
        round=0,
        passes=passes,
        rows=ran.rows.__getitem__,
        call_s=ran.call_s,
        effective={},
        clips=clips,
        peak_memory_bytes=passes[0].stop,
        readback={},
        machine="here",
        whole=whole,
        warm_up_s=warm_up_s,
    )


def test_joined_parts_are_the_whole(images: Images, tmp_path: Path) -> None:
    one, several = Sensitive(), Sensitive()
    whole = evidence(one, images, PASSES)
    parts = []
    for at, (start, stop) in enumerate([(0, 12), (12, 24), (24, COUNT)]):
        write_evidence(tmp_path / str(at), evidence(several, images, passes_within(PASSES, start, stop), "whole"))
        parts.append(read_evidence(tmp_path / str(at)))
    together = joined(parts)
    assert several.calls == one.calls  # the very same batches
    assert {p.id for p in together.passes} == {p.id for p in whole.passes}
    assert together.singles.tobytes() == whole.singles.tobytes()
    for chosen in whole.passes:
        assert together.outputs(chosen).tobytes() == whole.outputs(chosen).tobytes()
        assert len(together.call_s[chosen.id]) == len(whole.call_s[chosen.id])
    assert comparisons(together, together, None, AT) == comparisons(whole, whole, None, AT)
    assert together.span == (0, COUNT)
    assert together.peak_memory_bytes == COUNT
    assert together.clips == {"layer": (12 + 24 + COUNT, 300)}
    assert (together.machine, together.whole) == ("here", "whole")
    assert together.warm_up_s == (0.0, 12.0, 24.0)


def test_a_part_alone_gives_the_rows_of_its_own_images(images: Images) -> None:
    part = evidence(Sensitive(), images, passes_within(PASSES, 12, 24))
    whole = evidence(Sensitive(), images, PASSES)
    (chosen,) = part.find("batched", 4)
    (long,) = whole.find("batched", 4)
    assert part.outputs(chosen).tobytes() == whole.outputs(long)[12:24].tobytes()


@pytest.mark.parametrize(
    ("count", "sizes", "expected"),
    [
        (16, (2, 3, 4, 8, 16), [(0, 16)]),
        (150, (2, 3, 4, 8, 16), [(0, 150)]),  # the rest is too little for a part of its own
        (512, (2, 3, 4, 8, 16), [(0, 96), (96, 384), (384, 512)]),
        (1000, (2, 4), [(0, 64), (64, 320), (320, 576), (576, 832), (832, 1000)]),
        (5000, (64,), [(0, 128), *((a, a + 256) for a in range(128, 4736, 256)), (4736, 5000)]),
        (50_000, tuple(range(2, 33)), [(0, 50_000)]),  # no common end in reach
        (300, (), [(0, 64), (64, 300)]),
    ],
)
def test_cuts(count: int, sizes: tuple[int, ...], expected: list[tuple[int, int]]) -> None:
    assert cut(count, sizes) == expected


def test_every_image_is_in_one_part_and_no_batch_is_cut() -> None:
    for count in (1, 2, 63, 64, 65, 500, 777, 2000):
        for sizes in ((2, 3, 4, 8, 16), (2,), (5, 7), (32, 64), ()):
            parts = cut(count, sizes)
            assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
            assert (parts[0][0], parts[-1][1]) == (0, count)
            assert all(start % n == 0 for start, _ in parts for n in sizes if n <= count)


def test_jobs_of_parts_are_jobs_of_their_own() -> None:
    whole = Job("fp32", "seed", AT, 0, plan_passes(1000, (2, 4), probes=False), "a", "b")
    parts = whole.cut(cut(1000, (2, 4)))
    assert len({part.file_name for part in parts}) == len(parts) == 5
    assert {part.whole for part in parts} == {whole.id}
    assert sum(part.images_passed for part in parts) == whole.images_passed
    assert whole.cut([(0, 1000)]) == [whole]
