"""A weights file that nobody has vouched for: read without running its code, checked against the architecture."""

from __future__ import annotations

import math
import os
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from isobatch.models.shared.regular_files import open_regular
from isobatch.models.weights.networks import State, skeleton

_NESTED_UNDER = ("state_dict", "model_state_dict", "model")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads of GoogLeNet and Inception that serve training only
_SHOWN = 3
_MOST_WRAPPINGS = 8
_SOLID_BYTES = 1 << 30  # smaller files may be held compressed by their file system


class WeightsError(ValueError):
    """Weights that cannot be used. The text says what was asked, what was found and what to do."""


def read_checkpoint(path: Path) -> State:
    """The tensors of a safetensors file or of a PyTorch checkpoint, by name, as they are stored.

    Nothing in the file is executed: checkpoints go through ``torch.load(weights_only=True)``, with no other way in.
    A state dict is also found under "state_dict" or "model", and a "module." before every name is dropped.
    Raises WeightsError for a damaged file, one that holds code, or one that holds no state dict.
    """
    _require_solid(path)
    if path.suffix == ".safetensors":
        try:
            return _unwrapped(load_file(path), path)
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from error
    try:
        return _unwrapped(torch.load(path, map_location="cpu", weights_only=True), path)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                f"{path.name} wants to run {refused[1]} while it loads, which only tensors may do here: "
                "export its tensors alone with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
            ) from None  # torch's own text explains how to run the code after all
        raise _damaged(path, error) from None
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise _damaged(path, error) from None


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


def fitted(state: State, model: str, origin: str) -> tuple[State, int]:
    """(the complete float32 state dict that ``model`` needs, its number of classes), checked tensor by tensor.

    Missing batch counters are filled with 0, training-only heads are dropped. ``origin`` names the weights in errors.
    Raises WeightsError for wrong names, shapes or types, fewer than two classes, NaN and inf.
    """
    narrow, wide = skeleton(model, 2).state_dict(), skeleton(model, 3).state_dict()
    heads = [name for name in wide if narrow[name].shape != wide[name].shape]
    classes = next((len(state[name]) for name in heads if name in state and state[name].ndim), 2)
    shapes = {name: tensor.shape for name, tensor in narrow.items()}
    shapes |= {name: torch.Size([classes, *wide[name].shape[1:]]) for name in heads}
    kept = {name: tensor for name, tensor in state.items() if name in shapes or not name.startswith(_AUXILIARY)}
    for name in shapes:
        if name.endswith("num_batches_tracked"):
            kept.setdefault(name, torch.tensor(0))
    _check_names(kept, shapes, f"{origin} does not fit {model}")
    _check_shapes(kept, shapes, f"{origin} does not fit {model}")
    if classes < 2:
        raise WeightsError(f"{origin} has {classes} class: a classifier needs at least 2")
    finished = {name: _converted(name, kept[name], narrow[name].dtype, origin) for name in sorted(shapes)}
    _check_finite(finished, origin)
    return finished, classes


def _unwrapped(content: Any, path: Path) -> State:
    for _ in range(_MOST_WRAPPINGS):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _NESTED_UNDER if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    else:
        raise WeightsError(
            f"{path.name} holds a state dict within itself or more than {_MOST_WRAPPINGS} deep: save model.state_dict()"
        )
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path.name} holds a {type(content).__name__}, not a state dict: save model.state_dict()")
    strangers = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strangers:
        raise WeightsError(
            f"{path.name} is not a state dict, of its {len(content)} entries {_some(strangers)} are not named tensors: "
            "save model.state_dict()"
        )
    prefixed = all(name.startswith("module.") for name in content)
    return {name.removeprefix("module.") if prefixed else name: tensor for name, tensor in content.items()}


def _check_names(state: State, expected: Mapping[str, torch.Size], problem: str) -> None:
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    parts = [f"missing {_some(missing)}"] * bool(missing) + [f"unknown {_some(unknown)}"] * bool(unknown)
    if parts:
        raise WeightsError(f"{problem}: {'; '.join(parts)}; choose the --model that they were trained for")


def _check_shapes(state: State, expected: Mapping[str, torch.Size], problem: str) -> None:
    wrong = [
        f"{name} is {list(state[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if state[name].shape != shape
    ]
    if wrong:
        raise WeightsError(f"{problem}: {_some(wrong, '; ')}; choose the --model that they were trained for")


def _converted(name: str, tensor: Tensor, wanted: torch.dtype, origin: str) -> Tensor:
    if tensor.is_quantized or tensor.is_complex() or tensor.layout != torch.strided:
        raise WeightsError(f"{origin}: {name} is not a plain dense tensor; give the float network's state dict")
    if tensor.is_floating_point() != wanted.is_floating_point:
        raise WeightsError(f"{origin}: {name} is {tensor.dtype}, not {wanted}; give the float network's state dict")
    return tensor.detach().to(wanted).contiguous()


def _check_finite(state: State, origin: str) -> None:
    counts = {name: tensor.numel() - int(torch.isfinite(tensor).sum()) for name, tensor in state.items()}
    bad = [f"{name} ({count} of {math.prod(state[name].shape)})" for name, count in counts.items() if count]
    if bad:
        raise WeightsError(
            f"{origin} holds NaN or infinite weights in {len(bad)} tensors: {_some(bad)}; "
            "such a network computes nothing that could be compared: give weights that are finite in float32"
        )


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path.name} cannot be read as weights ({type(error).__name__}): it is damaged, cut short or another kind of "
        "file; copy or download it again"
    )


def _some(names: Iterable[str], separator: str = ", ") -> str:
    found = list(names)
    rest = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return separator.join(found[:_SHOWN]) + rest
