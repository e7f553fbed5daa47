from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isobatch.models.weights.checkpoint import WeightsError, open_checkpoint
from isobatch.models.weights.state_dicts import averaged

RAW = {"a": torch.zeros(2), "b.c": torch.zeros(1)}
MEAN = {"a": torch.ones(2), "b.c": torch.ones(1)}


def saved(tmp_path: Path, content: Any) -> Path:
    torch.save(content, tmp_path / "file.pth")
    return tmp_path / "file.pth"


@pytest.mark.parametrize(
    ("content", "asked", "place", "others"),
    [
        ({"state_dict": RAW, "state_dict_ema": MEAN}, None, "state_dict", ("state_dict_ema",)),
        ({"state_dict_ema": MEAN, "state_dict": RAW}, None, "state_dict", ("state_dict_ema",)),
        ({"state_dict": RAW, "state_dict_ema": MEAN}, "state_dict_ema", "state_dict_ema", ("state_dict",)),
        ({"model": RAW, "model_ema": {"n_averaged": torch.tensor(4), **MEAN}}, "model_ema", "model_ema", ("model",)),
        ({"ema": {"shadow": MEAN, "decay": 0.9}, "net": RAW}, "ema.shadow", "ema.shadow", ("net",)),
        ({"ema": MEAN, "epoch": 3}, None, "ema", ()),
        ({"generator": RAW, "epoch": 3}, None, "generator", ()),
        ({"model": RAW, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, None, "model", ()),
        ({"model": {**RAW, "layer._extra_state": None}}, None, "model", ()),
    ],
)
def test_the_place_that_is_taken_and_those_that_are_not(
    content: Any, asked: str | None, place: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    checkpoint = open_checkpoint(saved(tmp_path, content), asked)
    assert (checkpoint.place, checkpoint.others, checkpoint.prefix) == (place, others, "")
    assert list(checkpoint.state) == ["a", "b.c"]
    assert bool(checkpoint.state["a"].any()) == (averaged(place))


def test_what_a_name_begins_with_may_be_asked_for(tmp_path: Path) -> None:
    content = {"state_dict": {"student.a": torch.zeros(1), "teacher.a": torch.ones(1)}}
    assert open_checkpoint(saved(tmp_path, content), "teacher").prefix == "teacher."


@pytest.mark.parametrize(
    ("content", "asked", "complaint"),
    [
        ({"generator": RAW, "critic": MEAN}, None, "2 state dicts, generator, critic, .*choose one with"),
        ({"state_dict": RAW}, "ema", r"no state dict 'ema': give --state-dict one of .*: state_dict$"),
        (RAW, "ema", "one without a name"),
        ({"epoch": 3}, "ema", "that it holds: none"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_asked(content: Any, asked: str | None, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=complaint):
        open_checkpoint(saved(tmp_path, content), asked)


def test_settings_paths_and_numbers_beside_the_tensors_do_no_harm(tmp_path: Path) -> None:
    beside = {"args": Namespace(lr=0.1, data=Path("here")), "best": np.float64(0.5), "least": np.float32(1)}
    assert open_checkpoint(saved(tmp_path, {"model": RAW, **beside})).place == "model"


def test_a_torchscript_file_is_called_so_and_its_remedy_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = torch.nn.Linear(2, 2).eval()
    with pytest.warns((DeprecationWarning, FutureWarning)):
        torch.jit.save(torch.jit.trace(net, torch.ones(1, 2)), "net.pt")
    remedy = remedy_of("net.pt is a TorchScript file", Path("net.pt"))
    with pytest.warns((DeprecationWarning, FutureWarning)):
        exec(remedy.partition("for its tensors alone, ")[2], {"torch": torch})
    assert torch.equal(open_checkpoint(Path("weights.pth")).state["weight"], net.weight)


def test_the_remedy_for_a_pickled_module_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = torch.nn.Linear(2, 2)
    torch.save(net, "net.pt")
    exec(remedy_of("net.pt is a whole pickled module", Path("net.pt")), {"torch": torch})
    assert torch.equal(open_checkpoint(Path("weights.pth")).state["weight"], net.weight)


def remedy_of(complaint: str, path: Path) -> str:
    with pytest.raises(WeightsError, match=complaint) as refusal:
        open_checkpoint(path)
    return str(refusal.value).rpartition(": ")[2]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
        (b"version https://git-lfs.example/spec/v1\n", "a Git LFS pointer, not the file itself"),
        (b"\n<!doctype html><html>", "a web page"),
    ],
)
def test_other_files_are_called_what_they_are(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=f"net.pth is {kind}"):
        open_checkpoint(tmp_path / "net.pth")
