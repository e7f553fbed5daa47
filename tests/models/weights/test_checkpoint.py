import json
import os
import re
from argparse import Namespace
from collections import OrderedDict, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import save_file

from isobatch.models.weights.checkpoint import WeightsError, fitted, open_checkpoint
from isobatch.models.weights.networks import architecture
from isobatch.models.weights.state_dicts import State
from isobatch.models.weights.tensor_names import as_named


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def read_checkpoint(path: Path) -> State:
    return as_named(open_checkpoint(path).state, ()).state


@pytest.fixture
def state(resnet18_state: State) -> State:
    return dict(resnet18_state)


@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        OrderedDict,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": OrderedDict(state), "optimizer": {"lr": 0.1}},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
)
def test_a_state_dict_is_found_in_its_usual_wrappings(wrap: Any, tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b.c": torch.ones(2, 2)}
    torch.save(wrap(tensors), tmp_path / "file.pth")
    found = read_checkpoint(tmp_path / "file.pth")
    assert list(found) == ["a", "b.c"]
    assert torch.equal(found["a"], tensors["a"])


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file({"module.a": torch.arange(3.0)}, tmp_path / "file.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "file.safetensors")["a"], torch.arange(3.0))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "extra": Attack(tmp_path / "marker")}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"file\.pth wants to run (posix|os)\.mkdir while it loads") as refusal:
        read_checkpoint(tmp_path / "file.pth")
    assert not (tmp_path / "marker").exists()
    assert "weights_only" not in str(refusal.value) and refusal.value.__suppress_context__


def test_a_whole_pickled_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(
        WeightsError, match=r"net\.pt is a whole pickled module, .*weights_only=False\)\.state_dict\(\)"
    ):
        read_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
@pytest.mark.parametrize("kept", [0, 9, 0.5, 0.999])
def test_a_truncated_file_is_called_damaged(name: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / name
    tensors = {"a": torch.arange(1000.0)}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(WeightsError, match=r"cannot be read as weights .*: it is damaged, cut short or another kind"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([torch.ones(1)], "holds a list, not a state dict: save model.state_dict"),
        ({}, "holds a dict, not a state dict"),
        ({"a": torch.ones(1), "epoch": 3}, "not a state dict, of its 2 entries epoch are not named tensors"),
        ({1: torch.ones(1)}, "of its 1 entries 1 are not named tensors"),
        (torch.ones(3), "holds a Tensor, not a state dict"),
        ({"fc._packed_params.dtype": torch.qint8}, "network quantized by torch .*: give the weights of the float"),
    ],
)
def test_other_contents_are_not_taken_for_weights(content: Any, complaint: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=complaint):
        read_checkpoint(tmp_path / "file.pth")


def test_a_state_dict_within_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": torch.ones(1)}
    content["state_dict"] = content
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="a state dict within itself"):
        read_checkpoint(tmp_path / "file.pth")


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
def test_a_huge_file_of_holes_and_a_pipe_are_refused_at_once(name: str, tmp_path: Path) -> None:
    for size in (2 << 30, 1 << 42):  # less than memory, and more
        with open(tmp_path / name, "wb") as file:
            file.truncate(size)
        with pytest.raises(WeightsError, match=r"copied whole|of memory"):
            read_checkpoint(tmp_path / name)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(WeightsError, match="no regular file"):
        read_checkpoint(tmp_path / name)


def test_fitting_converts_to_float32_and_finds_the_number_of_classes(state: State) -> None:
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    fitting, classes = fitted(halves, "resnet18", "file.pth")
    assert classes == 7
    assert fitting["conv1.weight"].dtype == torch.float32
    assert torch.equal(fitting["conv1.weight"], state["conv1.weight"].half().float())
    assert list(fitting) == sorted(state)


def test_batch_counters_may_be_missing_and_training_heads_are_dropped(state: State) -> None:
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    fitting, _ = fitted(old | {"aux1.fc.weight": torch.ones(1)}, "resnet18", "file.pth")
    assert fitting["bn1.num_batches_tracked"] == 0
    assert set(fitting) == set(state)


def spoiled(state: State, name: str, tensor: torch.Tensor | None) -> State:
    rest = {key: value for key, value in state.items() if key != name}
    return rest if tensor is None else rest | {name: tensor}


@pytest.mark.parametrize(
    ("name", "tensor", "complaint"),
    [
        ("fc.bias", None, r"file does not fit resnet18: missing fc\.bias; choose the --model"),
        ("head", torch.ones(1), r"unknown head"),
        ("fc.fake.fake_quant_enabled", torch.ones(1), r"prepared for quantization-aware training .*: give the weights"),
        ("fc.bias", torch.ones(8), r"fc\.bias is \[8\], not \[7\]"),
        ("conv1.weight", torch.ones(64, 3, 3, 3), r"conv1\.weight is \[64, 3, 3, 3\], not \[64, 3, 7, 7\]"),
        ("fc.bias", torch.ones(7, dtype=torch.int64), r"fc\.bias is torch\.int64, not torch\.float32"),
        ("fc.bias", torch.ones(7, dtype=torch.complex64), r"fc\.bias is not a plain dense tensor"),
        ("fc.bias", torch.tensor([1, 2, torch.nan, 4, torch.inf, 6, 7]), r"weights in 1 tensors: fc\.bias \(2 of"),
        ("fc.bias", torch.ones(7, device="meta"), r"fc\.bias is on the meta device"),
        ("fc.bias", torch.full((7,), 1e300, dtype=torch.float64), r"fc\.bias \(7 of 7\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(state: State, name: str, tensor: torch.Tensor | None, complaint: str) -> None:
    with pytest.raises(WeightsError, match=complaint):
        fitted(spoiled(state, name, tensor), "resnet18", "file")


def test_weights_without_a_head_are_sent_to_what_makes_the_network(state: State) -> None:
    bare = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    with pytest.raises(WeightsError, match=r"it holds no head by that name: .*--model package"):
        fitted(bare, "resnet18", "file")


def test_tensors_of_training_alone_are_left_out_as_the_remedy_says(state: State, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"unknown extra\.weight") as refused:
        fitted(state | {"extra.weight": torch.ones(2)}, "resnet18", "file")
    remedy = str(refused.value).rpartition("leave them out: ")[2].replace("weights.pth", str(tmp_path / "weights.pth"))
    exec(remedy, {"torch": torch, "state_dict": state | {"extra.weight": torch.ones(2)}})
    assert fitted(torch.load(tmp_path / "weights.pth", weights_only=True), "resnet18", "file")[1] == 7
    with pytest.raises(WeightsError) as larger:  # another network's: its layers are the answer's
        fitted(state | {"layer1.2.conv1.weight": torch.ones(2)}, "resnet18", "file")
    assert "leave them out" not in str(larger.value)


def test_a_long_list_of_problems_is_cut(state: State) -> None:
    with pytest.raises(WeightsError, match=r"missing (\S+, ){2}\S+ and \d\d more"):
        fitted({name: state[name] for name in state if name.startswith("fc")}, "resnet18", "file")


def test_one_class_is_no_classifier(state: State) -> None:
    single = state | {"fc.weight": state["fc.weight"][:1], "fc.bias": state["fc.bias"][:1]}
    with pytest.raises(WeightsError, match="has 1 class: a classifier needs at least 2"):
        fitted(single, "resnet18", "file")


def test_integer_buffers_of_transformers_stay_integers() -> None:
    state = dict(architecture("swin_t", 3).state_dict())
    fitting, classes = fitted(state, "swin_t", "file")
    assert classes == 3
    index = "features.1.0.attn.relative_position_index"
    assert fitting[index].dtype == torch.int64 and torch.equal(fitting[index], state[index])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_weights_in_several_files_are_read_by_their_list(tmp_path: Path, name: str) -> None:
    stem, _, kind = name.rpartition(".")
    parts = {key: tmp_path / f"{stem}-0000{number}-of-00002.{kind}" for number, key in enumerate("ab", start=1)}
    for key, part in parts.items():
        store = save_file if kind == "safetensors" else torch.save
        store({key: torch.full((2,), float(ord(key)))}, part)
    listed = tmp_path / f"{name}.index.json"
    listed.write_text(json.dumps({"weight_map": {key: part.name for key, part in parts.items()}}))
    with pytest.raises(WeightsError, match=f"one of several files .*, {re.escape(listed.name)}$"):
        read_checkpoint(parts["b"])
    read = read_checkpoint(listed)
    assert {key: tensor[0].item() for key, tensor in read.items()} == {"a": ord("a"), "b": ord("b")}
    parts["a"].unlink()
    with pytest.raises(WeightsError, match=f"lists {parts['a'].name}, and no such file"):
        read_checkpoint(listed)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": {"a": "../a.bin"}}', '{"weight_map": {"a": 3}}'])
def test_a_list_of_nothing_or_of_files_elsewhere_is_refused(tmp_path: Path, content: str) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "a.bin")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "model.index.json").write_text(content)
    with pytest.raises(WeightsError, match=r"model\.index\.json"):
        read_checkpoint(tmp_path / "below" / "model.index.json")


@pytest.mark.parametrize(
    "record",
    [numpy.int64(3), numpy.bool_(True), numpy.float16(1), numpy.arange(3), datetime.now(), torch.__version__,
     Namespace(path=Path("a"))],
)  # fmt: skip
def test_plain_records_beside_the_tensors_do_no_harm(tmp_path: Path, record: object) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "record": record}, tmp_path / "file.pth")
    assert torch.equal(read_checkpoint(tmp_path / "file.pth")["a"], torch.ones(2))


def test_a_record_that_is_not_made_is_named_and_the_file_not_called_damaged(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "record": defaultdict(list, {"loss": [1.0]})}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"wants to run collections\.defaultdict while it loads"):
        read_checkpoint(tmp_path / "file.pth")


def test_a_pointer_in_the_place_of_a_safetensors_file_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        read_checkpoint(path)


def test_arrays_of_numpy_are_called_that_and_the_remedy_makes_weights_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    numpy.savez("w.npz", a=numpy.arange(3.0))
    with pytest.raises(WeightsError, match="numpy's arrays") as refused:
        read_checkpoint(Path("w.npz"))
    exec(str(refused.value).rpartition("tensors: ")[2], {"torch": torch, "numpy": numpy})
    assert torch.equal(read_checkpoint(Path("weights.pth"))["a"], torch.arange(3.0, dtype=torch.float64))
