import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.inputs import InputError
from isobatch.pipeline.inputs.storing import require_disjoint, store_images

ROWS = [np.full((4, 5, 3), value, np.uint8) for value in (1, 2, 1)]


def test_pixels_are_stored_as_they_are_and_normalised_on_reading(tmp_path: Path) -> None:
    images = store_images("set", tmp_path / "a.u8", iter(ROWS))
    assert Path(images.path).read_bytes() == b"".join(row.tobytes() for row in ROWS)
    assert images.sha256 == hashlib.sha256(Path(images.path).read_bytes()).hexdigest()
    assert (images.shape, images.unique) == ((3, 3, 4, 5), 2)
    assert images.read(0, 1)[0, 0, 0, 0] == (np.float32(1) / np.float32(255) - np.float32(0.485)) / np.float32(0.229)


def test_floats_are_used_as_they_are(tmp_path: Path) -> None:
    row = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    images = store_images("set", tmp_path / "a.f32", [row])
    assert images.shape == (1, 3, 4, 5)
    assert np.array_equal(images.read(0, 1)[0], row)


def test_a_failure_half_way_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "a.u8"
    path.write_bytes(b"before")

    def failing() -> Iterator[NDArray[np.uint8]]:
        yield ROWS[0]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        store_images("set", path, failing())
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a.u8", b"before")]


def test_rows_of_another_shape_and_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image 1 of 'set'"):
        store_images("set", tmp_path / "a.u8", [ROWS[0], np.zeros((5, 4, 3), np.uint8)])
    with pytest.raises(InputError, match="no image is left"):
        store_images("set", tmp_path / "a.u8", [])
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    count, row_bytes = 100, 3 * 256 * 256
    tracemalloc.start()
    try:
        images = store_images("set", tmp_path / "a.u8", (np.full((256, 256, 3), i, np.uint8) for i in range(count)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(images) == count
    assert peak < 10 * row_bytes


def test_overlap_is_refused_by_content(tmp_path: Path) -> None:
    evaluation = store_images("set", tmp_path / "a.u8", ROWS)
    other = store_images("set-calibration", tmp_path / "b.u8", [np.full((4, 5, 3), 9, np.uint8)])
    require_disjoint(evaluation, other)
    overlapping = store_images("set-calibration", tmp_path / "c.u8", [np.full((4, 5, 3), 9, np.uint8), ROWS[1]])
    with pytest.raises(InputError, match="1 of the 3 evaluation images of 'set'") as caught:
        require_disjoint(evaluation, overlapping)
    assert caught.value.code == "calibration-overlap"
