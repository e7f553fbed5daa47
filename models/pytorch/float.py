"""torch in float64, float32, float16 and bfloat16: what the conversion loses is counted, then stored."""

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from isobatch.models.pytorch.device_runner import DeviceTorchRunner
from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.pytorch.runner import NAMES
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings, VariantSpec
from isobatch.models.weights.networks import (
    read_checked,
    read_state,
    read_torch_weights,
    skeleton,
    with_state,
)
from isobatch.models.weights.state_dicts import State

WEIGHTS_FILE = "weights.safetensors"
NETWORK_FILE = "network.json"
_WORST = 3


def build(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """Store the weights in ``spec.recipe["weights"]["type"]``; float32 is the file that all variants share.

    Raises VariantUnavailable where the network is an ONNX file.
    """
    network = request.network
    state = read_torch_weights(network)
    dtype: torch.dtype = getattr(torch, spec.recipe["weights"]["type"])
    path = folder / WEIGHTS_FILE
    notes: tuple[str, ...] = ()
    if dtype == torch.float32:
        _share(Path(network.weights_path), path)
        read_checked(path, network.weights_sha256)  # what stands here now, whatever was there a moment ago
    else:
        notes = tuple(_notes(state, dtype))
        save_file(converted(state, dtype), path)
    (folder / NETWORK_FILE).write_text(json.dumps({"model": network.model, "num_classes": network.num_classes}))
    return Manifest(recipe=spec.recipe, size_bytes=path.stat().st_size, notes=notes)


def open_runner(artifact: Artifact, settings: RunnerSettings) -> ExaminedTorchRunner:
    """A runner that computes in ``recipe["computed_in"]``. Raises VariantUnavailable without the device.

    The recipe's memory format is for the CPU; on other devices the condition's holds.
    """
    recipe = artifact.manifest.recipe
    load, dtype = partial(load_network, artifact.folder), getattr(torch, recipe["computed_in"])
    if settings.device != "cpu":
        return DeviceTorchRunner(load, settings, dtype)
    runner = ExaminedTorchRunner(load, settings, dtype, recipe.get("memory_format"))
    runner.ship(artifact.folder / WEIGHTS_FILE, artifact.folder / NETWORK_FILE)
    return runner


def load_network(folder: Path) -> nn.Module:
    """The network of an artifact, in the type it is stored in."""
    about = json.loads((folder / NETWORK_FILE).read_text())
    return with_state(skeleton(about["model"], about["num_classes"]), read_state(folder / WEIGHTS_FILE))


def converted(state: State, dtype: torch.dtype) -> State:
    """The state with its floating-point tensors in ``dtype``, as ``Module.to`` would convert them."""
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def rounding(tensor: Tensor, dtype: torch.dtype) -> dict[str, int]:
    """How many finite values a conversion to ``dtype`` moves out of its normal range, by what becomes of them.

    A subnormal value counts only if it was not one before.
    """
    rounded = tensor.to(dtype)
    tiny = torch.finfo(dtype).tiny
    small = (rounded != 0) & (rounded.abs() < tiny) & (tensor.abs() >= torch.finfo(tensor.dtype).tiny)
    moved = {
        "overflow to infinity, so its results are not to be trusted": torch.isinf(rounded) & torch.isfinite(tensor),
        "become zero": (rounded == 0) & (tensor != 0),
        "become subnormal and lose bits": small,
    }
    return {fate: int(mask.sum()) for fate, mask in moved.items()}


def _notes(state: State, dtype: torch.dtype) -> Iterator[str]:
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    fates = {name: rounding(tensor, dtype) for name, tensor in floats.items()}
    values = sum(tensor.numel() for tensor in floats.values())
    for fate in dict.fromkeys(fate for counted in fates.values() for fate in counted):
        counts = {name: counted[fate] for name, counted in fates.items() if counted[fate]}
        if counts:
            worst = sorted(counts, key=lambda tensor: -counts[tensor])[:_WORST]
            where = ", ".join(f"{tensor} {counts[tensor]}" for tensor in worst)
            rest = f" and {len(counts) - _WORST} more" if len(counts) > _WORST else ""
            yield f"{sum(counts.values())} of {values} weights {fate} in {NAMES[dtype]}: {where}{rest}"


def _share(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # fp32 and fp64 need no copy of their own
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
