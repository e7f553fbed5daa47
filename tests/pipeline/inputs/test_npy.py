import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.inputs import InputError, SetsAsked, npy, own
from isobatch.pipeline.inputs.choose import Choice
from isobatch.pipeline.storage.files import StoreError

from .helpers import noise, only_set

FLOATS = np.random.default_rng(0).standard_normal((9, 3, 6, 7))


def saved(tmp_path: Path, array: NDArray[Any]) -> Path:
    np.save(tmp_path / "mine.npy", array)
    return tmp_path / "mine.npy"


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_floats_are_used_as_they_are(tmp_path: Path, dtype: str) -> None:
    prepared_set = only_set(tmp_path, saved(tmp_path, FLOATS.astype(dtype)))
    assert prepared_set.calibration is not None
    assert (prepared_set.evaluation.shape, len(prepared_set.calibration)) == ((6, 3, 6, 7), 3)
    everything = np.concatenate([prepared_set.evaluation.read(0, 6), prepared_set.calibration.read(0, 3)])
    expected = FLOATS.astype(np.float32)
    assert {row.tobytes() for row in everything} == {row.tobytes() for row in expected}
    assert (prepared_set.record.name, prepared_set.record.labelled, prepared_set.record.n_files) == ("mine", False, 9)
    assert prepared_set.record.kept_to_calibrate == 3  # 16 were asked
    assert only_set(tmp_path, tmp_path / "mine.npy", images=6).record.kept_to_calibrate == 0


def test_a_long_name_is_shortened(tmp_path: Path) -> None:
    path = saved(tmp_path, FLOATS).rename(tmp_path / f"{'a' * 240}-end.npy")
    name = only_set(tmp_path, path).record.name
    assert (len(name), name[:2], name[-7:]) == (64, "aa", "aaa-end")


def test_the_memory_order_of_the_array_does_not_matter(tmp_path: Path) -> None:
    plain = only_set(tmp_path, saved(tmp_path, FLOATS)).evaluation
    turned = only_set(tmp_path, saved(tmp_path, np.asfortranarray(FLOATS))).evaluation
    assert plain.sha256 == turned.sha256


def test_uint8_is_pixels(tmp_path: Path) -> None:
    picture = np.asarray(noise(1))
    prepared_set = only_set(tmp_path, saved(tmp_path, picture.transpose(2, 0, 1)[np.newaxis]))
    assert Path(prepared_set.evaluation.path).read_bytes() == picture.tobytes()
    assert prepared_set.evaluation.shape == (1, 3, 20, 24)
    assert prepared_set.evaluation.mean == (0.485, 0.456, 0.406)
    assert prepared_set.calibration is None
    assert prepared_set.calibration_remedy


def test_duplicates_shrink_n(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, saved(tmp_path, FLOATS[[0, 1, 0]]))
    assert prepared_set.record.n == 2
    assert prepared_set.record.skipped == [{"file": "image 2", "why": "same picture as image 0"}]


def test_a_file_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_own = own.choose_own

    def replaced(mine: own.Own, request: SetsAsked) -> Choice:
        saved(tmp_path, FLOATS[:4])
        return choose_own(mine, request)

    monkeypatch.setattr(own, "choose_own", replaced)
    assert code_of(tmp_path, saved(tmp_path, FLOATS), "changed while it was read") == "changed"


def code_of(tmp_path: Path, path: Path, match: str) -> str:
    with pytest.raises(InputError, match=match) as caught:
        only_set(tmp_path, path)
    assert "\n" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    ("array", "match", "code"),
    [
        (FLOATS[0], r"\[3, 6, 7\]: \[n, 3, height, width\] is needed", "npy-shape"),
        (FLOATS[:, :1], "is needed", "npy-shape"),
        (FLOATS[:0], "none of them 0", "npy-shape"),
        (FLOATS.astype(np.float16), "float16.*convert it with .astype", "npy-dtype"),
        (FLOATS.astype(np.int64), "int64", "npy-dtype"),
        (FLOATS.astype(np.complex64), "complex64", "npy-dtype"),
    ],
)
def test_what_is_no_set_of_images(tmp_path: Path, array: NDArray[Any], match: str, code: str) -> None:
    assert code_of(tmp_path, saved(tmp_path, array), match) == code


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_in_float32(tmp_path: Path, value: float) -> None:
    array = FLOATS.copy()
    array[4, 1, 2, 3] = value
    assert code_of(tmp_path, saved(tmp_path, array), "image 4 .* NaN, infinity") == "npy-not-finite"


class Trap:
    """An object whose unpickling leaves a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("trapped",)


def test_objects_are_refused_and_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, np.array([Trap()], dtype=object))
    assert code_of(tmp_path, path, "Python objects") == "npy-format"
    assert not Path("trapped").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((("])
def test_files_that_are_no_array(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npy").write_bytes(content)
    assert code_of(tmp_path, tmp_path / "mine.npy", "write it with numpy.save") == "npy-format"


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = saved(tmp_path, FLOATS)
    path.write_bytes(path.read_bytes()[:-8])
    assert code_of(tmp_path, path, "no readable arrays") == "npy-format"


def test_an_npz_that_is_damaged_is_named_and_a_full_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, images=FLOATS)

    def full(*_: object) -> str:
        raise StoreError("cannot write: no space")

    with monkeypatch.context() as patched:
        patched.setattr(npy, "write_bytes", full)
        with pytest.raises(StoreError, match="no space"):
            only_set(tmp_path, path)
    whole = bytearray(path.read_bytes())
    whole[100:110] = b"\xff" * 10  # inside of what is compressed
    path.write_bytes(whole)
    assert code_of(tmp_path, path, "no readable arrays") == "npy-format"
