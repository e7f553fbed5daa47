import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.inputs import InputError, own
from isobatch.pipeline.inputs.decode import decode

from .helpers import noise, only_set, pictures, pixels, rows

TEN = tuple(f"{i}.png" for i in range(10))


def reasons(skipped: list[dict[str, str]]) -> dict[str, str]:
    return {entry["file"]: entry["why"] for entry in skipped}


def test_measured_and_calibrating_pictures_are_disjoint_and_complete(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", *TEN)
    prepared_set = only_set(tmp_path, folder)
    assert prepared_set.calibration is not None
    assert (len(prepared_set.evaluation), len(prepared_set.calibration)) == (7, 3)
    expected = {decode(folder / name, 16).tobytes() for name in TEN}
    assert {*rows(prepared_set.evaluation), *rows(prepared_set.calibration)} == expected
    assert (prepared_set.record.name, prepared_set.record.n, prepared_set.record.n_files) == ("mine", 7, 10)
    assert prepared_set.record.sha256 == prepared_set.evaluation.sha256
    assert "(16 were asked)" in prepared_set.record.note


def test_order_and_bytes_do_not_depend_on_how_the_folder_was_filled(tmp_path: Path) -> None:
    first = only_set(tmp_path, pictures(tmp_path / "a", *TEN))
    again = only_set(tmp_path, pictures(tmp_path / "b", *reversed(TEN)), folder=tmp_path / "again")
    assert first.evaluation.sha256 == again.evaluation.sha256
    assert first.calibration and again.calibration
    assert first.calibration.sha256 == again.calibration.sha256


def test_measured_pictures_keep_the_order_of_their_paths(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", "a.png", "b/a.png", "c.png")
    expected = [decode(folder / name, 16) for name in ("a.png", "b/a.png", "c.png")]
    assert (pixels(only_set(tmp_path, folder).evaluation) == expected).all()


def test_too_few_pictures_calibrate_nothing_and_say_what_to_do(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, pictures(tmp_path / "mine", *TEN[:5]))
    assert prepared_set.calibration is None
    assert len(prepared_set.evaluation) == 5
    assert "fewer than 6 distinct images" in prepared_set.calibration_note
    assert "at least 6 distinct images" in prepared_set.calibration_remedy


def test_every_unusable_file_is_named_with_its_reason(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", "good.png", "sub/inner.PNG")
    shutil.copy(folder / "good.png", folder / "twin.png")
    (folder / "junk.jpg").write_bytes(b"junk")
    (folder / "zero.webp").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("notes")
    os.mkfifo(folder / "pipe.png")
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    noise(9).save(tmp_path / "outside.png")
    (folder / "leaving.png").symlink_to(tmp_path / "outside.png")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "directory.png").mkdir()
    prepared_set = only_set(tmp_path, folder)
    assert prepared_set.record.n == len(prepared_set.evaluation) == 2
    why = reasons(prepared_set.record.skipped)
    duplicate = {"good.png", "twin.png"} & why.keys()
    assert len(duplicate) == 1
    assert why.pop(duplicate.pop()).startswith("same picture as")
    assert why.pop("cut.png")
    assert why == {
        "junk.jpg": "not a jpeg, png, webp or bmp picture",
        "zero.webp": "empty file",
        "*.txt": "1 not named as jpeg, png, webp or bmp",
        "pipe.png": "not a regular file",
        "nowhere.png": "a link to nothing",
        "circle.png": "a link to nothing",
        "leaving.png": "a link that leaves the folder",
        "folder": "a link to a folder: not followed",
    }


def test_a_sub_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures(tmp_path / "mine", "a.png", "secret/b.png")
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert reasons(only_set(tmp_path, folder).record.skipped) == {"secret": "unreadable folder: Permission denied"}


def test_a_link_inside_the_folder_counts_once(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", "deep/good.png")
    (folder / "link.png").symlink_to(folder / "deep" / "good.png")
    assert only_set(tmp_path, folder).record.n == 1


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    pictures(tmp_path / "mine", "good.png")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert only_set(tmp_path, tmp_path / "link").record.n == 1


def test_names_that_no_terminal_can_show(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    pictures(folder, "good.png")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n.png")).write_bytes(b"junk")
    assert "??.png" in reasons(only_set(tmp_path, folder).record.skipped)


@pytest.mark.parametrize("content", [None, b"junk"])
def test_nothing_usable_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    if content:
        (folder / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"no usable image in .*mine") as caught:
        only_set(tmp_path, folder)
    assert caught.value.code == "no-images"
    assert "\n" not in str(caught.value)
    assert ("a.png: not a jpeg" in str(caught.value)) is (content is not None)


def labelled_folder(tmp_path: Path) -> Path:
    return pictures(tmp_path / "mine", *(f"{kind}/{i}.png" for kind in ("1", "tabby_cat") for i in range(9)))


def test_sub_folders_label_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "CALIBRATION_IMAGES", 4)
    folder = labelled_folder(tmp_path)
    prepared_set = only_set(tmp_path, folder, class_names=("dog", "bird", "tabby cat"), images=6)
    assert prepared_set.record.labelled
    assert prepared_set.labelled is not None
    assert not (tmp_path / "out" / "folder-labelled.u8").exists()
    larger = prepared_set.labelled()
    truth = {decode(path, 16).tobytes(): 1 if path.parent.name == "1" else 2 for path in folder.rglob("*.png")}
    for images in (prepared_set.evaluation, larger.images):
        assert images.labels == tuple(truth[row] for row in rows(images))
    assert prepared_set.evaluation.labels is not None
    assert set(prepared_set.evaluation.labels) == {1, 2}
    assert prepared_set.calibration is not None
    assert len(larger.images) == 14
    assert not {*rows(larger.images)} & {*rows(prepared_set.calibration)}


def test_the_labelled_set_says_what_it_left_out(tmp_path: Path) -> None:
    folder = labelled_folder(tmp_path)
    (folder / "1" / "junk.png").write_bytes(b"junk")
    shutil.copy(folder / "1" / "0.png", folder / "1" / "twin.png")
    prepared_set = only_set(tmp_path, folder, class_names=("dog", "bird", "tabby cat"))
    assert prepared_set.labelled is not None
    larger = prepared_set.labelled()
    assert prepared_set.calibration is not None
    assert len(larger.images) == larger.images.unique == 18 - len(prepared_set.calibration)
    why = reasons(list(larger.skipped))
    assert why.pop("1/junk.png") == "not a jpeg, png, webp or bmp picture"
    assert list(why.values()) == ["same picture as one already used"]


def test_junk_beside_the_sub_folders_does_not_take_the_labels_away(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mine", "0/a.png", "1/b.png")
    (folder / "junk.png").write_bytes(b"junk")
    prepared_set = only_set(tmp_path, folder)
    assert prepared_set.evaluation.labels == (0, 1)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("0/a.png", "b.png"), "b.png lies in no sub-folder"),
        (("0/a.png", "holiday/b.png"), "'holiday'"),
        (("0/a.png", "7/b.png"), "outside 0 to 4"),
    ],
)
def test_unlabelled_with_the_reason(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    prepared_set = only_set(tmp_path, pictures(tmp_path / "mine", *names), num_classes=5)
    assert not prepared_set.record.labelled
    assert prepared_set.labelled is None
    assert prepared_set.evaluation.labels is None
    assert "unlabelled: " in prepared_set.record.note
    assert why in prepared_set.record.note
