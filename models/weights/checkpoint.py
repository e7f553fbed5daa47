"""A weights file that nobody has vouched for: read without running its code, checked against the architecture."""

import json
import math
import os
import pickle
import re
from argparse import Namespace
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from isobatch.models.shared.regular_files import open_regular
from isobatch.models.weights.file_kinds import LIST, PART, other_kind
from isobatch.models.weights.model_name import kind_of
from isobatch.models.weights.networks import skeleton
from isobatch.models.weights.state_dicts import OF_FLOAT, State, StateDictChosen, choose, some
from isobatch.models.weights.state_dicts import WeightsError as WeightsError  # with what raises it first

_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads of GoogLeNet and Inception that serve training only
_SOLID_BYTES = 1 << 30  # smaller files may be held compressed by their file system


_PLAIN_RECORDS: list[Any] = [
    *(Namespace, PosixPath, TorchVersion, datetime, date, timedelta),
    *(np.ndarray, np.dtype, *{type(np.dtype(code)) for code in np.typecodes["All"]}),
    *(number := np.float64(0).__reduce__()[0], array := np.zeros(0).__reduce__()[0]),  # what makes them
    *((number, "numpy.core.multiarray.scalar"), (array, "numpy.core.multiarray._reconstruct")),
]
"""What training programs store beside the tensors: settings, paths, times, numpy's numbers. None runs anything."""


def open_checkpoint(path: Path, asked: str | None = None) -> StateDictChosen:
    """The tensors of a safetensors file or of a PyTorch checkpoint, by name, as they are stored, and where they lay.

    Of weights in several files ``path`` is the list, ``*.index.json``. Nothing in a file is executed: checkpoints go
    through ``torch.load(weights_only=True)``, with no other way in; of other classes than tensors only plain records of
    numbers and settings are made. ``asked``: the place of a state dict in the file, or what its tensors' names begin
    with. Raises WeightsError for a damaged file, one that holds code, or one that holds no state dict.
    """
    try:
        return choose(_joined(path) if path.name.endswith(LIST) else _content(path), path.name, asked)
    except WeightsError:
        raise
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise WeightsError(
            f"{path.name} cannot be read as weights ({type(error).__name__}): it is damaged, cut short or another kind "
            "of file; copy or download it again"
        ) from None


def _joined(path: Path) -> State:
    """The tensors of all parts that this list names, which lie beside it."""
    _require_solid(path)
    parts = sorted({*json.loads(path.read_bytes())["weight_map"].values()})
    if missing := [part for part in parts if Path(part).name != part or not (path.parent / part).is_file()]:
        raise WeightsError(f"{path.name} lists {some(missing)}, and no such file lies beside it: put it there")
    return {name: tensor for part in parts for name, tensor in _content(path.parent / part, part=True).items()}


def _content(path: Path, part: bool = False) -> Any:
    """What the file holds. ``part``: it may be one of several."""
    _require_solid(path)
    if PART.search(path.name) and not part:
        raise WeightsError(
            f"{path.name} is one of several files that hold the weights: give the list of them that is published "
            f"beside them, {PART.sub('', path.name)}{LIST}"
        )
    if kind := other_kind(path):
        raise WeightsError(f"{path.name} is {kind.what}, not a state dict: {kind.todo}")
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        with torch.serialization.safe_globals(_PLAIN_RECORDS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if refused := re.search(r"GLOBAL (\S+)|<class '(\S+)'>", str(error)):
            raise WeightsError(
                f"{path.name} wants to run {refused[1] or refused[2]} while it loads, and only tensors may load here: "
                "export them alone with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
            ) from None  # torch's own text explains how to run the code after all
        raise


def _require_solid(path: Path) -> None:
    """Raise WeightsError for a file that is no regular one, larger than memory, or mostly holes."""
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}; give a file of weights") from error
    about = os.fstat(descriptor)
    os.close(descriptor)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if about.st_size > memory:
        raise WeightsError(f"{path.name} has {about.st_size} bytes, and this machine {memory} of memory")
    if about.st_size > _SOLID_BYTES and about.st_blocks * 512 < about.st_size // 2:
        raise WeightsError(
            f"{path.name} has {about.st_size} bytes and only {about.st_blocks * 512} of them on disk: it was not "
            "copied whole; copy or download it again"
        )


def fitted(state: State, model: str, origin: str, net: nn.Module | None = None) -> tuple[State, int]:
    """(the complete float32 state dict that ``model`` needs, its number of classes), checked tensor by tensor.

    Missing batch counters are filled with 0, training-only heads are dropped. ``origin`` names the weights in errors.
    ``net``: the skeleton of ``model`` where one is made already; a factory is not asked for another.
    Raises WeightsError for wrong names, shapes or types, fewer than two classes, NaN and inf.
    """
    net = skeleton(model, 2) if net is None else net
    other = net if kind_of(model) == "factory" else skeleton(model, 3)
    narrow, wide = net.state_dict(), other.state_dict()
    heads = [name for name in wide if narrow[name].shape != wide[name].shape]
    classes = next((len(state[name]) for name in heads if name in state and state[name].ndim), 2)
    shapes = {name: tensor.shape for name, tensor in narrow.items()}
    shapes |= {name: torch.Size([classes, *wide[name].shape[1:]]) for name in heads}
    kept = {name: tensor for name, tensor in state.items() if name in shapes or not name.startswith(_AUXILIARY)}
    for name in shapes:
        if name.endswith("num_batches_tracked"):
            kept.setdefault(name, torch.tensor(0))
    _check_names(kept, shapes, heads, f"{origin} does not fit {model}")
    _check_shapes(kept, shapes, f"{origin} does not fit {model}")
    if classes < 2:
        raise WeightsError(f"{origin} has {classes} class: a classifier needs at least 2")
    finished = {name: _converted(name, kept[name], narrow[name].dtype, origin) for name in sorted(shapes)}
    _check_finite(finished, {name for name, _ in net.named_parameters()}, origin)
    return finished, classes


def _check_names(state: State, expected: Mapping[str, torch.Size], heads: list[str], problem: str) -> None:
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    if not missing and not unknown:
        return
    tops = {name.split(".")[0] for name in heads}
    if missing and unknown and set(missing) <= set(heads) and all(name.split(".")[0] in tops for name in unknown):
        raise WeightsError(f"{problem}: its head is another one: {_two_heads(state, expected, heads, unknown)}")
    parts = [f"missing {some(missing)}"] * bool(missing) + [f"unknown {some(unknown)}"] * bool(unknown)
    if faked := [name for name in unknown if name.endswith(".fake_quant_enabled")]:
        raise WeightsError(f"{problem}: it was prepared for quantization-aware training ({some(faked)}): {OF_FLOAT}")
    remedy = "choose the --model that they were trained for"
    beside = sorted({name.split(".")[0] for name in unknown} - {name.split(".")[0] for name in expected})
    if not unknown and set(missing) == set(heads):
        remedy = (
            "it holds no head by that name: give what makes your network with its head, --model package.module:make"
        )
    if not missing and all(name.split(".")[0] in beside for name in unknown):
        kept = f"if k.split('.')[0] not in {beside}"
        remedy += (
            "; where the network is this one and they belong to its training alone, leave them out: "
            f"torch.save({{k: v for k, v in state_dict.items() {kept}}}, 'weights.pth')"
        )
    raise WeightsError(f"{problem}: {'; '.join(parts)}; {remedy}")


def _two_heads(state: State, expected: Mapping[str, torch.Size], heads: list[str], unknown: list[str]) -> str:
    """Both heads with their shapes, where all the rest fits, and how the one may become the other."""
    held = ", ".join(f"{name} {list(state[name].shape)}" for name in unknown)
    missing = {name: ["classes", *expected[name][1:]] for name in expected if name not in state}
    wanted = ", ".join(f"{name} {shape}".replace("'", "") for name, shape in missing.items())
    weight = next(name for name in heads if name.endswith("weight"))
    others = [name.removesuffix("weight") for name in unknown if name.endswith(".weight")]
    remedy = "export the network to ONNX and give --onnx FILE"
    if len(others) == 1 and state[f"{others[0]}weight"].shape[1:] == expected[weight][1:]:
        plain = weight.removesuffix("weight")
        remedy = (
            "where only dropout stands beside that layer in its Sequential, save it under the plain name: "
            f"torch.save({{k.replace({others[0]!r}, {plain!r}): v for k, v in net.state_dict().items()}}, "
            f"'weights.pth'); else {remedy}"
        )
    return f"it has {held}, where {wanted} is expected; {remedy}"


def _check_shapes(state: State, expected: Mapping[str, torch.Size], problem: str) -> None:
    wrong = [
        f"{name} is {list(state[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if state[name].shape != shape
    ]
    if wrong:
        raise WeightsError(f"{problem}: {some(wrong, '; ')}; choose the --model that they were trained for")


def _converted(name: str, tensor: Tensor, wanted: torch.dtype, origin: str) -> Tensor:
    if tensor.is_meta:
        raise WeightsError(
            f"{origin}: {name} is on the meta device, without values: save a network that has its weights"
        )
    if tensor.is_quantized or tensor.is_complex() or tensor.layout != torch.strided:
        raise WeightsError(f"{origin}: {name} is not a plain dense tensor; give the float network's state dict")
    if tensor.is_floating_point() != wanted.is_floating_point:
        raise WeightsError(f"{origin}: {name} is {tensor.dtype}, not {wanted}; give the float network's state dict")
    return tensor.detach().to(wanted).contiguous()


def _check_finite(state: State, weights: Collection[str], origin: str) -> None:
    """Raise WeightsError for NaN, and for infinities among the ``weights``: a mask may hold them."""
    wrong = {name: tensor.isnan() | (tensor.isinf() & (name in weights)) for name, tensor in state.items()}
    counts = {name: int(values.sum()) for name, values in wrong.items()}
    bad = [f"{name} ({count} of {math.prod(state[name].shape)})" for name, count in counts.items() if count]
    if bad:
        raise WeightsError(
            f"{origin} holds NaN or infinite weights in {len(bad)} tensors: {some(bad)}; "
            "such a network computes nothing that could be compared: give weights that are finite in float32"
        )
