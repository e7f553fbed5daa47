import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isobatch.pipeline.inputs import InputError, prepare
from isobatch.pipeline.storage.files import StoreError

from .helpers import ask, pictures


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ("digits", ["seed", "digits"]),
        ("random", ["seed", "digits"]),
        ("imagenet-v1", ["seed", "photos"]),
        ("imagenet-v2", ["seed", "photos"]),
        ("mine.safetensors", ["seed", "photos"]),
    ],
)
def test_auto_is_the_seed_set_and_the_one_that_fits_the_weights(tmp_path: Path, weights: str, names: list[str]) -> None:
    assert [prepared_set.record.name for prepared_set in prepare(ask(tmp_path, "auto", weights=weights))] == names


def test_quick_is_the_seed_set_only_unless_inputs_are_named(tmp_path: Path) -> None:
    assert [prepared_set.record.name for prepared_set in prepare(ask(tmp_path, "auto", quick=True))] == ["seed"]
    assert [prepared_set.record.name for prepared_set in prepare(ask(tmp_path, "digits", quick=True))] == ["digits"]


def test_a_keyword_wins_over_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "digits", "a.png")
    (keyword,) = prepare(ask(tmp_path, "digits"))
    (folder,) = prepare(ask(tmp_path, "./digits"))
    assert (keyword.record.n, folder.record.n) == (16, 1)


@pytest.mark.parametrize("asked", ["digts", "", "no/such/folder", "no.npy", "a" * 5000, "nul\0"])
def test_what_is_neither_a_keyword_nor_a_path(tmp_path: Path, asked: str) -> None:
    with pytest.raises(InputError, match=r"auto, seed, digits, photos, a folder of pictures, or a .npy, ") as caught:
        prepare(ask(tmp_path, asked))
    assert caught.value.code == "unknown-inputs"
    assert ("did you mean 'digits'?" in str(caught.value)) is (asked == "digts")


def test_a_picture_itself_and_a_pipe_are_no_inputs(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png")
    with pytest.raises(InputError, match="give the folder it lies in"):
        prepare(ask(tmp_path, tmp_path / "a.png"))
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match="no folder or regular file"):
        prepare(ask(tmp_path, tmp_path / "pipe.npy"))


def test_preparing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).random((9, 3, 4, 4)))
    for asked in ("photos", "digits", "seed", str(tmp_path / "mine.npy")):
        first, again = (prepare(ask(tmp_path, asked))[0] for _ in range(2))
        assert first.record == again.record
        assert first.calibration == again.calibration


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"):
        prepare(ask(tmp_path, "photos", folder=tmp_path / "file"))


def test_neither_torch_nor_onnxruntime_is_imported() -> None:
    script = "import sys, isobatch.pipeline.inputs; print({'torch', 'onnxruntime', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "set()"
