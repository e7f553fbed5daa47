"""torchvision's own entries: which weights it publishes of a model, and what pictures they were made for."""

from __future__ import annotations

from typing import Any

from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.weights.model_name import read_name
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
