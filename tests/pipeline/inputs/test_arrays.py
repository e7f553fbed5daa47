from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from isobatch.models.spec.images import View
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs import InputError, PreparedSet, SetsAsked, prepare

TOKENS = (Input("ids", "int64", (None,), below=100), Input("mask", "bool", (None,)))
PIXELS = (Input("images", "uint8", (None, None, 3)),)
LAYERED = (Input("images", "float32", (4, 8, 8)),)
GREY = (Input("images", "float16", (1, 8, 8)),)
FEATURES = (Input("x", "float32", (20,)),)


def prepared(folder: Path, asked: Path | str, interface: tuple[Input, ...], **more: Any) -> PreparedSet:
    request = SetsAsked(str(asked), folder / "stored", interface=interface, **more)
    (prepared_set,) = prepare(request)
    return prepared_set


def numbers(*shape: int, top: int = 100) -> np.ndarray:
    return np.random.default_rng(1).integers(0, top, shape)


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_named_arrays_are_fed_as_they_are(tmp_path: Path, form: str) -> None:
    arrays = {"ids": numbers(9, 7), "mask": numbers(9, 7, top=2).astype(bool)}
    path = tmp_path / f"tokens.{form}"
    if form == "npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    prepared_set = prepared(tmp_path, path, TOKENS)
    rows = prepared_set.evaluation.read(0, len(prepared_set.evaluation))
    assert prepared_set.calibration is not None and len(prepared_set.evaluation) + len(prepared_set.calibration) == 9
    assert rows["ids"].dtype == np.int64 and rows["mask"].dtype == np.bool_
    assert {row.tobytes() for row in rows["ids"]} <= {row.tobytes() for row in arrays["ids"]}


def test_another_byte_order_holds_the_same_numbers(tmp_path: Path) -> None:
    ids = np.arange(9 * 7, dtype=">i8").reshape(9, 7)
    np.savez(tmp_path / "tokens.npz", ids=ids, mask=ids > 3)
    prepared_set = prepared(tmp_path, tmp_path / "tokens.npz", TOKENS)
    rows = prepared_set.evaluation.read(0, len(prepared_set.evaluation))["ids"]
    assert {tuple(row) for row in rows.tolist()} <= {tuple(row) for row in ids.tolist()}
    np.save(tmp_path / "features.npy", np.arange(9 * 20, dtype=">f4").reshape(9, 20))
    prepared_set = prepared(tmp_path, tmp_path / "features.npy", FEATURES)
    assert prepared_set.evaluation.read(0, len(prepared_set.evaluation)).max() < 9 * 20


def test_labels_beside_the_arrays_are_labels(tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    np.savez(path, x=np.random.default_rng(0).standard_normal((9, 20)).astype(np.float32), labels=np.arange(9))
    prepared_set = prepared(tmp_path, path, FEATURES)
    assert prepared_set.record.labelled and set(prepared_set.evaluation.labels or ()) <= set(range(9))
    assert prepared_set.labelled is not None
    labelled = prepared_set.labelled().images
    calibrating = len(prepared_set.calibration) if prepared_set.calibration else 0
    assert len(labelled) == len(labelled.labels or ()) == 9 - calibrating  # all of them measure the accuracy


def test_labels_of_another_number_than_the_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    np.savez(path, x=np.zeros((9, 20), np.float32), labels=np.arange(8))
    with pytest.raises(InputError, match=r"the labels of features.npz are int64 \[8\]: integers \[9\] are needed"):
        prepared(tmp_path, path, FEATURES)


def test_pixels_go_in_as_pixels_and_their_axes_are_turned(tmp_path: Path) -> None:
    pixels = numbers(6, 3, 8, 10, top=256).astype(np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    prepared_set = prepared(tmp_path, tmp_path / "pixels.npy", PIXELS)
    rows = prepared_set.evaluation.read(0, 1)
    assert rows.dtype == np.uint8 and rows.shape == (1, 8, 10, 3)
    assert "turned to NHWC" in prepared_set.record.note


def test_photographs_are_handed_over_as_the_network_takes_them(tmp_path: Path) -> None:
    prepared_set = prepared(tmp_path, "photos", PIXELS, images=2, image_size=32)
    rows = prepared_set.evaluation.read(0, 2)
    assert rows.dtype == np.uint8 and rows.shape == (2, 32, 32, 3) and rows.max() > 100
    assert "handed over as NHWC uint8" in prepared_set.record.note


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_pixels_in_either_layout_are_normalised_for_a_network_of_floats(tmp_path: Path, axes: tuple[int, ...]) -> None:
    pixels = numbers(6, 8, 9, 3, top=256).astype(np.uint8)
    np.save(tmp_path / "pixels.npy", pixels.transpose(axes))
    usual = (Input("images", "float32", (3, None, None)),)
    unit = View(mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)
    prepared_set = prepared(tmp_path, tmp_path / "pixels.npy", usual, view=unit)
    assert (prepared_set.evaluation.read(0, 1)[0] == pixels[0].transpose(2, 0, 1)).all()


def test_a_grey_network_takes_grey_photographs(tmp_path: Path) -> None:
    grey = View(mean=(0.5,), std=(0.25,))
    prepared_set = prepared(tmp_path, "photos", GREY, images=2, image_size=32, channels=1, view=grey)
    assert prepared_set.evaluation.read(0, 2).shape == (2, 1, 32, 32)
    assert "handed over as NCHW float16" in prepared_set.record.note


def test_floats_are_rounded_to_the_networks_type(tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", np.random.default_rng(0).standard_normal((6, 1, 8, 8)))
    prepared_set = prepared(tmp_path, tmp_path / "grey.npy", GREY)
    assert prepared_set.evaluation.read(0, 1).dtype == np.float16 and "rounded to float16" in prepared_set.record.note


@pytest.mark.parametrize(
    ("interface", "within"),
    [(TOKENS, ("ids", 0, 99)), (FEATURES, ("x", -6, 6)), (LAYERED, ("images", -6, 6))],
)
def test_arrays_are_drawn_where_a_network_takes_no_pictures(
    tmp_path: Path, interface: tuple[Input, ...], within: tuple[str, int, int]
) -> None:
    prepared_set = prepared(tmp_path, "auto", interface, images=4)
    name, low, high = within
    rows = prepared_set.evaluation.read(0, 4)
    values = rows if rows.dtype.names is None else rows[name]
    assert len(rows) == 4 and low <= values.min() and values.max() <= high
    assert prepared_set.record.drawn and "drawn values, not yours" in prepared_set.record.note


@pytest.mark.parametrize(
    ("arrays", "interface", "word"),
    [
        ({"ids": numbers(4, 7)}, TOKENS, "save an array named 'mask' too"),
        ({"ids": numbers(4, 7), "mask": numbers(5, 7) > 50}, TOKENS, "'ids' 4, 'mask' 5 images"),
        ({"x": np.zeros((4, 21), np.float32)}, FEATURES, r"takes x: float32 \[n, 20\]: give images of that shape"),
        ({"x": np.zeros((4, 20, 1), np.float32)}, FEATURES, "of as many axes"),
        ({"x": np.zeros((4, 20), np.int64)}, FEATURES, r"\.astype\('float32'\)"),
        ({"x": np.full((4, 20), np.nan, np.float32)}, FEATURES, "holds NaN or infinity"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_a_remedy(
    tmp_path: Path, arrays: dict[str, np.ndarray], interface: tuple[Input, ...], word: str
) -> None:
    np.savez(tmp_path / "arrays.npz", **arrays)
    with pytest.raises(InputError, match=word):
        prepared(tmp_path, tmp_path / "arrays.npz", interface)


def test_pictures_are_refused_for_a_network_that_takes_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give --inputs FILE\.npz with an array for each input"):
        prepared(tmp_path, "digits", TOKENS)


def test_labels_in_a_file_of_their_own_are_those_of_the_arrays(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((9, 20)).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    (tmp_path / "labels.csv").write_text("class\n" + "".join(f"{i % 3}\n" for i in range(9)))
    asked = {"labels_file": str(tmp_path / "labels.csv"), "num_classes": 3}
    prepared_set = prepared(tmp_path, tmp_path / "features.npy", FEATURES, **asked)
    classes = {row.tobytes(): i % 3 for i, row in enumerate(features)}
    rows = prepared_set.evaluation.read(0, len(prepared_set.evaluation))
    assert prepared_set.record.labelled and prepared_set.evaluation.labels == tuple(
        classes[row.tobytes()] for row in rows
    )
    (tmp_path / "labels.csv").write_text("0\n1\n")
    with pytest.raises(InputError, match="2 rows, and there are 9 images"):
        prepared(tmp_path, tmp_path / "features.npy", FEATURES, **asked)


def test_drawn_values_of_which_there_are_few_are_drawn_again_to_calibrate_with(tmp_path: Path) -> None:
    prepared_set = prepared(tmp_path, "auto", (Input("token", "int64", (), below=3),), images=4)
    assert prepared_set.calibration is not None and (len(prepared_set.evaluation), len(prepared_set.calibration)) == (
        4,
        32,
    )
    assert 1 <= prepared_set.record.n <= 3
