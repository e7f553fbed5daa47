"""Folders with system files, split data sets, small pictures; arrays of other layouts; grey networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isobatch.models.spec.images import IMAGENET
from isobatch.pipeline.inputs import InputError
from isobatch.pipeline.inputs.decode import decode

from .helpers import noise, only_set, pictures, pixels

LABELLED = ("0/a.png", "0/b.png", "1/a.png", "1/b.png")


def codes(tmp_path: Path, folder: Path, **options: object) -> list[str]:
    return [remark.code for remark in only_set(tmp_path, folder, **options).warnings]


def test_hidden_and_system_folders_are_left_out_and_said_and_the_labels_stay(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", *LABELLED, ".ipynb_checkpoints/a.png", "__MACOSX/0/x.png", "0/._a.png")
    (folder / "1" / "Thumbs.db").write_bytes(b"thumbs")
    prepared_set = only_set(tmp_path, folder, num_classes=2)
    assert prepared_set.evaluation.labels == (0, 0, 1, 1)
    assert {entry["file"]: entry["why"] for entry in prepared_set.record.skipped} == {
        ".ipynb_checkpoints": "a hidden folder",
        "__MACOSX": "a folder of the system",
        "0/._a.png": "a hidden file: rename it if it is meant",
        "1/Thumbs.db": "a file of the system",
    }
    assert "labels: folder names as class indices" in prepared_set.record.note


def test_training_and_test_pictures_together_are_a_warning(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", *(f"{part}/{name}" for part in ("train", "val") for name in LABELLED))
    assert "mixed-splits" in codes(tmp_path, folder)
    assert "mixed-splits" not in codes(tmp_path, folder / "val")


@pytest.mark.parametrize("top", ["", "train/"])
def test_the_order_of_folders_is_that_of_the_classes_also_below_a_split(tmp_path: Path, top: str) -> None:
    folder = pictures(tmp_path / "mine", *(f"{top}{name}/a.png" for name in ("1", "2", "10")))
    pictures(folder, f"{top}.hidden/a.png")
    for order, labels in (("text", (0, 1, 2)), ("number", (0, 2, 1))):
        prepared_set = only_set(tmp_path, folder, class_order=order, num_classes=3, folder=tmp_path / order)
        assert prepared_set.evaluation.labels == labels  # of 1, 10 and 2
        assert "labels: folders in the order of their n" in prepared_set.record.note


def test_why_labels_are_not_used_is_a_warning_and_a_flat_folder_has_none(tmp_path: Path) -> None:
    (found,) = only_set(tmp_path, pictures(tmp_path / "mine", "cat/a.png", "dog/a.png")).warnings[:1]
    assert found.code == "labels-unused"
    assert "'cat' is no class index" in found.text and "--class-order text" in found.text and "--classes" in found.text
    assert "labels-unused" not in codes(tmp_path, pictures(tmp_path / "flat", "a.png", "b.png"))


def test_a_picture_of_the_size_stays_as_it_is_and_a_smaller_one_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    noise(1, 16, 16).save(folder / "a.png")
    own = np.asarray(noise(1, 16, 16))
    assert np.array_equal(decode(folder / "a.png", 16), own)
    assert not np.array_equal(
        decode(folder / "a.png", 16, replace(IMAGENET, forced=True)), np.asarray(noise(1, 16, 16))
    )
    assert codes(tmp_path, folder) == []
    (remark,) = only_set(tmp_path, folder, image_size=20).warnings
    assert remark.code == "enlarged-pictures"
    assert "1 of the 1 measured pictures" in remark.text and "--image-size 16 takes" in remark.text


@pytest.mark.parametrize("picture", [(40, 30), (30, 60), (200, 20)])
def test_height_and_width(tmp_path: Path, picture: tuple[int, int]) -> None:
    noise(1, *picture).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", (16, 32)).shape == (16, 32, 3)
    exact = np.asarray(noise(1, *picture).resize((32, 16), 2))
    assert np.array_equal(decode(tmp_path / "a.png", (16, 32), replace(IMAGENET, resize_to=(16, 32))), exact)
    for name in ("digits", "photos"):
        assert only_set(tmp_path, name, image_size=(16, 32), images=2).evaluation.shape[2:] == (16, 32)


def test_channels_last_are_seen_from_the_shape_or_said(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 5, 7, 3), dtype=np.uint8)
    np.save(tmp_path / "mine.npy", array)
    prepared_set = only_set(tmp_path, tmp_path / "mine.npy", images=9)
    assert {row.tobytes() for row in pixels(prepared_set.evaluation)} <= {row.tobytes() for row in array}
    assert "channels come last (NHWC)" in prepared_set.record.note
    with pytest.raises(InputError, match=r"\[n, 3, height, width\] is needed"):
        only_set(tmp_path, tmp_path / "mine.npy", layout="nchw")


def test_grey_networks_see_grey_pictures_and_arrays(tmp_path: Path) -> None:
    grey = replace(IMAGENET, mean=(0.5,), std=(0.5,))
    for name in ("digits", "photos", pictures(tmp_path / "mine", "a.png")):
        images = only_set(tmp_path, name, channels=1, view=grey, images=1).evaluation
        assert images.shape == (1, 1, 16, 16) and images.read(0, 1).shape == (1, 1, 16, 16)
    np.save(tmp_path / "mine.npy", np.zeros((2, 1, 5, 7), np.float32))
    assert only_set(tmp_path, tmp_path / "mine.npy", channels=1).evaluation.shape[1:] == (1, 5, 7)
    with pytest.raises(InputError, match="pictures have 3 channels, or 1"):
        only_set(tmp_path, "digits", channels=4)


def test_scale_and_order_of_channels_are_in_what_the_network_sees(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    noise(1, 16, 16).save(folder / "a.png")
    plain = replace(IMAGENET, mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)
    image = np.asarray(noise(1, 16, 16)).transpose(2, 0, 1).astype(np.float32)
    rgb = only_set(tmp_path, folder, view=plain, folder=tmp_path / "rgb").evaluation
    bgr = only_set(tmp_path, folder, view=replace(plain, channel_order="bgr"), folder=tmp_path / "bgr").evaluation
    assert np.array_equal(rgb.read(0, 1)[0], image) and np.array_equal(bgr.read(0, 1)[0], image[::-1])
    usual = only_set(tmp_path, folder, folder=tmp_path / "usual").evaluation
    assert usual.sha256 == rgb.sha256 and usual.seen_sha256 != rgb.seen_sha256
