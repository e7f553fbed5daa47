"""Weights as they were found, before they are fitted: of a file, as published, of a factory.

What a checkpoint shows and does not show of its network, and how pictures become the input of published ones.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.words import Remark
from isobatch.models.user_copy import as_measured, told_in_training
from isobatch.models.user_factory import with_one_output
from isobatch.models.weights.checkpoint import WeightsError, open_checkpoint
from isobatch.models.weights.model_name import TRANSFORMING, read_name
from isobatch.models.weights.networks import stem
from isobatch.models.weights.other_networks import described, timm_pretrained, timm_view
from isobatch.models.weights.state_dicts import State, averaged, some
from isobatch.models.weights.tensor_names import Named
from isobatch.models.weights.torchvision_compat import torchvision


@dataclass(frozen=True)
class WeightsFound:
    """Weights by the names in their file."""

    source: str
    state: State
    note: str = ""
    offer: str = ""  # which other weights may be had, and by which command
    class_names: tuple[str, ...] = ()
    entry: Any = None  # torchvision's, where the weights are
    own: bool = False  # a file of the user's
    prefix: str = ""  # what the tensors' names were asked to begin with
    warnings: tuple[Remark, ...] = ()


def find_in_file(path: Path, state_dict: str | None) -> WeightsFound:
    """The state dict of the user's file, ``state_dict`` where it is named. Raises WeightsError."""
    chosen = open_checkpoint(path, state_dict)
    place = f"its state dict under {chosen.place!r} is used" if chosen.place else ""
    warnings: tuple[Remark, ...] = ()
    if chosen.others and state_dict is None:
        kind = "the averaged weights" if averaged(chosen.place) else "the weights"
        others = " and ".join(f"{other!r}{' (averaged)' if averaged(other) else ''}" for other in chosen.others)
        text = f"{path.name} holds more than one state dict: {kind} under {chosen.place!r} are used, and not {others}: "
        warnings = (Remark("other-weights", f"{text}--state-dict {chosen.others[0]} takes the other"),)
    return WeightsFound(path.name, chosen.state, place, own=True, prefix=chosen.prefix, warnings=warnings)


def with_facts(model: str, net: nn.Module, state: State, weights: WeightsFound) -> tuple[str, list[str]]:
    """The model's name with what its weights show and do not show, and what to say of it. ``net``: its skeleton.

    Raises WeightsError.
    """
    name, told = read_name(model), []
    first = stem(net) if name.kind != "factory" else None  # whose network is what it is
    weight = state.get(f"{first[0]}.weight") if first else None
    channels = weight.shape[1] * first[1].groups if first and weight is not None and weight.ndim == 4 else name.channels
    if channels != name.channels:
        if name.architecture in TRANSFORMING:
            raise WeightsError(
                f"{weights.source} takes images of {channels} channels, and {name.architecture} 3: export the "
                "network to ONNX and give --onnx FILE"
            )
        name = replace(name, channels=channels)
        told.append(f"its first convolution takes {channels} channel{'s' * (channels != 1)}")
    if weights.own and name.architecture in TRANSFORMING and name.transform_input is None:
        raise WeightsError(
            f"{weights.source} does not say whether its {name.architecture} was made with transform_input, which "
            f"changes every answer: give --model '{name.architecture}[transform_input=yes]', as torchvision's trained "
            f"weights have it, or --model '{name.architecture}[transform_input=no]', torchvision's default without them"
        )
    return str(name), told


def remarks(source: str, named: Named) -> list[Remark]:
    """What to warn of in the names: tensors that are not used, and the same names once more."""
    texts = []
    if named.left_out:
        text = f"{source}: {len(named.left_out)} of its tensors belong to no layer of the network and are left out: "
        texts.append(Remark("weights-left-out", text + some(named.left_out)))
    if named.others:
        others = some(repr(prefix.rstrip(".")) for prefix in named.others)
        text = f"{source} holds the same names once more, behind {others}: --state-dict KEY takes those"
        texts.append(Remark("other-weights", text))
    return texts


IMAGENET_NAMES = {"imagenet-v2": "IMAGENET1K_V2", "imagenet-v1": "IMAGENET1K_V1"}  # in the order that `auto` prefers


def published(name: str, model: str) -> Any | None:
    """torchvision's entry for these weights, or None where there are none."""
    return getattr(torchvision.models.get_model_weights(read_name(model).architecture), IMAGENET_NAMES[name], None)


def first_entry(model: str) -> Any | None:
    """torchvision's first entry for this model, the recipe of its authors; None where it has none."""
    return next(iter(torchvision.models.get_model_weights(read_name(model).architecture)), None)


def view_of(entry: Any | None) -> View:
    """The view that an entry of torchvision asks for; ImageNet's usual one for None."""
    if entry is None:
        return IMAGENET
    preset = entry.transforms()
    (size,), (resize,) = preset.crop_size, preset.resize_size
    return View(size, resize, preset.interpolation.value, tuple(preset.mean), tuple(preset.std))


PRETRAINED = "pretrained"
"""The name of the weights that timm publishes."""


def usual_view(model: str) -> tuple[View, str, bool]:
    """The view of the network's own library, whose that is, and whether that is said of this network."""
    name = read_name(model)
    if name.kind == "torchvision":
        return view_of(first_entry(model)), "torchvision's first entry for the model", True
    view = timm_view(name) if name.kind == "timm" else None
    return (IMAGENET, "ImageNet's", False) if view is None else (view, "timm's configuration of the model", True)


def timm_published(model: str, offline: bool) -> WeightsFound:
    """Those of timm's network; ``offline``: out of the hub's cache only. Raises WeightsError."""
    return WeightsFound(PRETRAINED, timm_pretrained(read_name(model), offline).state_dict())


def of_factory(model: str) -> tuple[str, nn.Module, WeightsFound]:
    """The factory's full name, its network as it is run, and the weights that it gives it. Raises WeightsError."""
    name, net = described(read_name(model))
    warnings: tuple[Remark, ...] = ()
    if text := told_in_training(name.architecture, net):
        warnings = (Remark("training-mode", text),)
    state = {key: tensor.detach() for key, tensor in net.state_dict().items()}
    weights = WeightsFound("factory", state, "the weights that the factory gives its network", warnings=warnings)
    return str(name), with_one_output(as_measured(net)), weights
