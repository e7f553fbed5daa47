"""What published weights and factories bring: their own weights, and how pictures become their input."""

from typing import Any

from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.words import Remark
from isobatch.models.user_copy import told_in_training
from isobatch.models.weights.found import Found
from isobatch.models.weights.model_name import read_name
from isobatch.models.weights.other_networks import described, timm_pretrained, timm_view
from isobatch.models.weights.torchvision_compat import torchvision

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


def timm_published(model: str, offline: bool) -> Found:
    """Those of timm's network; ``offline``: out of the hub's cache only. Raises WeightsError."""
    return Found(PRETRAINED, timm_pretrained(read_name(model), offline).state_dict())


def of_factory(model: str) -> tuple[str, Found]:
    """The factory's full name, and the weights that it gives its network. Raises WeightsError."""
    name, net = described(read_name(model))
    warnings: tuple[Remark, ...] = ()
    if text := told_in_training(name.architecture, net):
        warnings = (Remark("training-mode", text),)
    state = {key: tensor.detach() for key, tensor in net.state_dict().items()}
    return str(name), Found("factory", state, "the weights that the factory gives its network", warnings=warnings)
