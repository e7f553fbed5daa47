"""Damaged files of every kind: read, or refused with a reason in one line; no crash, no hang, nothing left unsaid."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from isobatch.models.ort.check_user_file import OnnxError, check_onnx
from isobatch.models.weights.checkpoint import WeightsError, fitted, open_checkpoint
from isobatch.models.weights.tensor_names import as_named
from isobatch.pipeline.config.config import read_config
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.config.sources import read_settings
from isobatch.pipeline.evidence.stored import read_evidence, write_evidence
from isobatch.pipeline.inputs import InputError, SetsAsked, prepare
from isobatch.pipeline.inputs.choose import Unusable
from isobatch.pipeline.inputs.decode import decode
from isobatch.pipeline.inputs.folder import list_pictures
from isobatch.pipeline.records.errors import StoreError, UsageError
from isobatch.reports.files.json_report import load_study, study_json
from tests.campaigns.mutations import damaged_copies, mutated, read_apart
from tests.fakes import faithful, run, table
from tests.models.ort.small_onnx import classifier
from tests.reports import studies

SHORT, FULL = 20, 200
Reader = Callable[[Path], object]


def a_picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def a_checkpoint(path: Path) -> None:
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)).state_dict()
    torch.save(state, path)


def a_safetensors(path: Path) -> None:
    save_file({"fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}, path)


def an_array(path: Path) -> None:
    np.save(path, np.random.default_rng(0).standard_normal((12, 3, 32, 32), np.float32))


def images_of(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepare(SetsAsked(asked=str(path), folder=Path(folder), image_size=32))


def weights(path: Path) -> None:
    fitted(as_named(open_checkpoint(path).state, ()).state, "squeezenet1_1", path.name)


def a_policy(path: Path) -> None:
    path.write_text('stability = "top1-stable"\nmax_accuracy_drop = 2.0\nmax_latency_ms = 30\nobjective = "size"\n')


def a_grid(path: Path) -> None:
    path.write_text('threads = [1, 2]\nbatch-sizes = "2-8,16"\nisa = ["native", "avx2"]\nimage_size = 96\n')


def some_settings(path: Path) -> None:
    path.write_text('variants = ["fp32", "ort-int8"]\nbatch-sizes = [2, 4]\nquick = true\nseed = 7\nout = "a/b"\n')


def configured(*argv: str) -> object:
    return read_config(read_settings(study_parser(), [*argv], {}).arguments)


KINDS: dict[str, tuple[Callable[[Path], object], Reader, tuple[type[Exception], ...]]] = {
    "picture.png": (a_picture, lambda path: decode(path, 64), (Unusable,)),
    "picture.jpg": (a_picture, lambda path: decode(path, 64), (Unusable,)),
    "picture.webp": (a_picture, lambda path: decode(path, 64), (Unusable,)),
    "picture.bmp": (a_picture, lambda path: decode(path, 64), (Unusable,)),
    "checkpoint.pth": (a_checkpoint, weights, (WeightsError,)),
    "weights.safetensors": (a_safetensors, weights, (WeightsError,)),
    "network.onnx": (lambda path: onnx.save(classifier(), path), check_onnx, (OnnxError,)),
    "images.npy": (an_array, images_of, (InputError,)),
    "report.json": (
        lambda path: path.write_text(study_json(studies.full()), encoding="utf-8"),
        load_study,
        (UsageError,),
    ),
    "policy.toml": (a_policy, lambda path: configured("--policy-file", str(path)), (UsageError,)),
    "grid.toml": (a_grid, lambda path: configured("--grid", str(path)), (UsageError,)),
    "settings.toml": (some_settings, lambda path: configured("--config", str(path)), (UsageError,)),
    "evidence.safetensors": (lambda path: write_evidence(path, run(faithful(table()))), read_evidence, (StoreError,)),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_refused_with_its_reason(tmp_path: Path, name: str, full: bool) -> None:
    make, read, refusals = KINDS[name]
    make(tmp_path / name)
    (tmp_path / "damaged").mkdir()
    copies = damaged_copies(tmp_path / name, tmp_path / "damaged", FULL if full else SHORT, seed=1000)
    refused = 0
    for number, said in enumerate(read_apart(read, copies, refusals)):
        assert said == "read" or said.startswith("refused: "), f"{name}, number {number}: {said}"
        if said != "read":
            refused += 1
            reason = said.removeprefix("refused: ")
            assert reason.strip() and "\n" not in reason.strip(), f"{name}, number {number}: {reason}"
            assert "Traceback" not in reason
    assert refused > 0


def test_of_a_folder_of_damaged_pictures_every_one_is_used_or_named(tmp_path: Path, full: bool) -> None:
    whole = tmp_path / "whole.png"
    a_picture(whole)
    folder = tmp_path / "pictures"
    folder.mkdir()
    count = FULL if full else SHORT
    for number in range(count):
        (folder / f"{number:03}.png").write_bytes(mutated(whole.read_bytes(), 5000 + number))
    shutil.copyfile(whole, folder / "whole.png")
    files, skipped = list_pictures(folder)
    assert (len(files), skipped) == (count + 1, [])
    ends = read_apart(lambda path: decode(path, 64), files, (Unusable,))
    assert all(end == "read" or end.startswith("refused: ") for end in ends), ends
    assert ends[-1] == "read"


def test_damage_is_damage_and_can_be_drawn_again() -> None:
    whole = random.Random(0).randbytes(4096)
    drawn = [mutated(whole, seed) for seed in range(200)]
    assert drawn == [mutated(whole, seed) for seed in range(200)]
    assert sum(one == whole for one in drawn) <= 4  # a run of bytes may happen to be what it replaces
