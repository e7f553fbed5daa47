"""The weights under study: found or fetched, verified, and kept as one safetensors file named by its hash."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from isobatch.models.shared.regular_files import write_whole
from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.weights.checkpoint import WeightsError, fitted, open_checkpoint
from isobatch.models.weights.digits import weights as digits
from isobatch.models.weights.model_name import TRANSFORMING, read_name
from isobatch.models.weights.networks import State, check_known, skeleton, stem
from isobatch.models.weights.random_weights import SEED, random_state
from isobatch.models.weights.state_dicts import averaged, some
from isobatch.models.weights.tensor_names import Named, as_named
from isobatch.models.weights.torchvision_compat import torchvision

__all__ = ["ResolvedWeights", "WeightsError", "resolve"]

KEYWORDS = ("auto", "digits", "imagenet-v2", "imagenet-v1", "random")
_DIGITS_MODEL = "resnet50"
_IMAGENET = {"imagenet-v2": "IMAGENET1K_V2", "imagenet-v1": "IMAGENET1K_V1"}  # in the order that `auto` prefers


@dataclass(frozen=True)
class ResolvedWeights:
    """Complete, finite float32 weights of one architecture.

    ``source``: a keyword, or a file's name without its folder. ``path``: the safetensors file in the cache.
    ``sha256``: of sorted names, types, shapes and bytes (``isobatch.models.weights.digits.weights.fingerprint``).
    ``class_names``: one per class, or nothing. ``note``: what the user should know, "" if nothing. ``view``: what
    pictures are made into, as torchvision's entry for these weights says; of weights that are not torchvision's, as
    its first entry for the model does. ``model``: with the facts that the weights show, such as another number of
    channels. ``warnings``: code and text.
    """

    source: str
    model: str
    path: Path
    sha256: str
    num_classes: int
    note: str = ""
    class_names: tuple[str, ...] = ()
    view: View = IMAGENET
    warnings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Found:
    source: str
    state: State
    note: str = ""
    class_names: tuple[str, ...] = ()
    entry: Any = None  # torchvision's, where the weights are
    own: bool = False  # a file of the user's
    prefix: str = ""  # what the tensors' names were asked to begin with
    warnings: tuple[tuple[str, str], ...] = ()


def resolve(
    name: str,
    model: str,
    cache_root: Path,
    offline: bool,
    say: Callable[[str], None],
    state_dict: str | None = None,
) -> ResolvedWeights:
    """The weights that ``name`` asks for: a keyword of KEYWORDS, or a weights file (a keyword wins over a path).

    ``auto`` takes ImageNet weights that torch hub's cache already holds, else ``digits`` (ResNet50), else ``random``;
    only ``imagenet-v1`` and ``imagenet-v2`` download, and not if ``offline``. ``say`` gets lines of progress.
    ``state_dict``: which of the state dicts in a file is meant.
    Raises WeightsError where they cannot be had or do not fit; ValueError for an unknown model.
    """
    check_known(model)
    found = _find(name, model, offline, say, state_dict)
    named = as_named(found.state, skeleton(model, 2).state_dict().keys(), found.prefix)
    model, told = _with_facts(model, named.state, found)
    state, num_classes = fitted(named.state, model, found.source)
    arrays: dict[str, NDArray[Any]] = {key: tensor.numpy() for key, tensor in state.items()}
    sha256 = digits.fingerprint(arrays)
    path = cache_root / "weights" / f"{sha256}.safetensors"
    if not _is_intact(path, sha256):
        write_whole(path, [save(arrays)])
    view = IMAGENET if found.source == "digits" else _view(found.entry or _first_entry(model))
    note = "; ".join(text for text in (found.note, *named.notes, *told) if text)
    warnings = (*found.warnings, *_warnings(found.source, named))
    return ResolvedWeights(
        found.source, model, path, sha256, num_classes, note, found.class_names, view, warnings=warnings
    )


def _with_facts(model: str, state: State, found: _Found) -> tuple[str, list[str]]:
    """The model's name with what its weights show and do not show, and what to say of it. Raises WeightsError."""
    name, told = read_name(model), []
    first = stem(skeleton(model, 2))
    weight = state.get(f"{first[0]}.weight") if first else None
    if first is not None and weight is not None and weight.ndim == 4 and weight.shape[1] != name.channels:
        if name.architecture in TRANSFORMING:
            raise WeightsError(
                f"{found.source} takes images of {weight.shape[1]} channels, and {name.architecture} 3: export the "
                "network to ONNX and give --onnx FILE"
            )
        name = replace(name, channels=weight.shape[1])
        told.append(f"its first convolution takes {weight.shape[1]} channel{'s' * (weight.shape[1] != 1)}")
    if found.own and name.architecture in TRANSFORMING and name.transform_input is None:
        raise WeightsError(
            f"{found.source} does not say whether its {name.architecture} was made with transform_input, which changes "
            f"every answer: give --model '{name.architecture}[transform_input=yes]', as torchvision's trained weights "
            f"have it, or --model '{name.architecture}[transform_input=no]', torchvision's default without them"
        )
    return str(name), told


def _warnings(source: str, named: Named) -> list[tuple[str, str]]:
    found = []
    if named.left_out:
        text = f"{source}: {len(named.left_out)} of its tensors belong to no layer of the network and are left out: "
        found.append(("weights-left-out", text + some(named.left_out)))
    if named.others:
        others = some(repr(prefix.rstrip(".")) for prefix in named.others)
        text = f"{source} holds the same names once more, behind {others}: --state-dict KEY takes those"
        found.append(("other-weights", text))
    return found


def _find(name: str, model: str, offline: bool, say: Callable[[str], None], state_dict: str | None) -> _Found:
    if state_dict is not None and name in KEYWORDS:
        raise WeightsError(f"--state-dict {state_dict!r} belongs to a file, and --weights {name} is none: leave it out")
    if name == "auto":
        return _automatic(model, say)
    if name in _IMAGENET:
        return _imagenet(name, model, offline, say)
    if name == "digits":
        return _digits(model)
    if name == "random":
        return _random(model, say)
    path = Path(name)
    if path.is_file():
        return _file(path, state_dict)
    raise WeightsError(f"no weights {name!r}: it is neither a file nor one of {', '.join(KEYWORDS)}")


def _file(path: Path, state_dict: str | None) -> _Found:
    chosen = open_checkpoint(path, state_dict)
    place = f"its state dict under {chosen.place!r} is used" if chosen.place else ""
    warnings: tuple[tuple[str, str], ...] = ()
    if chosen.others and state_dict is None:
        kind = "the averaged weights" if averaged(chosen.place) else "the weights"
        others = " and ".join(f"{other!r}{' (averaged)' if averaged(other) else ''}" for other in chosen.others)
        text = f"{path.name} holds more than one state dict: {kind} under {chosen.place!r} are used, and not {others}: "
        warnings = (("other-weights", f"{text}--state-dict {chosen.others[0]} takes the other"),)
    return _Found(path.name, chosen.state, place, own=True, prefix=chosen.prefix, warnings=warnings)


def _automatic(model: str, say: Callable[[str], None]) -> _Found:
    published = [name for name in _IMAGENET if _published(name, model) is not None]
    for name in published:
        if _hub_file(_published(name, model)).is_file():
            return _imagenet(name, model, True, say)
    found = _digits(model) if model == _DIGITS_MODEL else _random(model, say)
    which = "" if model == _DIGITS_MODEL else f" --model {model}"
    fetch = f"ImageNet weights: python run.py{which} --weights {published[0]}" if published else ""
    return _Found(found.source, found.state, f"{found.note}; {fetch}" if fetch else found.note)


def _digits(model: str) -> _Found:
    if model != _DIGITS_MODEL:
        raise WeightsError(
            f"the digits weights are for {_DIGITS_MODEL}, not {model}: choose --weights random or a file"
        )
    state = {name: torch.from_numpy(array) for name, array in digits.state_dict().items()}
    note = "the embedded digits weights: their margins and accuracy say nothing about other weights, the verdicts do"
    return _Found("digits", state, note)


def _random(model: str, say: Callable[[str], None]) -> _Found:
    say(f"making random weights for {model}")
    note = f"random weights (seed {SEED}), never trained: labels and accuracy mean nothing, the verdicts do"
    return _Found("random", random_state(model), note)


def _published(name: str, model: str) -> Any | None:
    """torchvision's entry for these weights, or None where there are none."""
    return getattr(torchvision.models.get_model_weights(read_name(model).architecture), _IMAGENET[name], None)


def _first_entry(model: str) -> Any | None:
    """torchvision's first entry for this model, the recipe of its authors; None where it has none."""
    return next(iter(torchvision.models.get_model_weights(read_name(model).architecture)), None)


def _view(entry: Any | None) -> View:
    if entry is None:
        return IMAGENET
    preset = entry.transforms()
    (size,), (resize,) = preset.crop_size, preset.resize_size
    return View(size, resize, preset.interpolation.value, tuple(preset.mean), tuple(preset.std))


def _hub_file(entry: Any) -> Path:
    url: str = entry.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _imagenet(name: str, model: str, offline: bool, say: Callable[[str], None]) -> _Found:
    entry = _published(name, model)
    if entry is None:
        others = [other for other in _IMAGENET if _published(other, model) is not None]
        raise WeightsError(f"torchvision has no {name} weights for {model}: choose {' or '.join([*others, 'random'])}")
    path = _hub_file(entry)
    if not path.is_file():
        if offline:
            raise WeightsError(
                f"{name} of {model} is not in {path.parent}, and --offline forbids to download it: run once without "
                f"--offline, put {entry.url} there, or choose --weights digits, random or a file"
            )
        _download(name, model, entry, say)
    _verify(path)
    return _Found(name, open_checkpoint(path).state, class_names=tuple(entry.meta["categories"]), entry=entry)


def _download(name: str, model: str, entry: Any, say: Callable[[str], None]) -> None:
    say(f"downloading {entry.url}")
    try:
        entry.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{name} of {model} could not be downloaded from {entry.url}: {error}; check the connection and proxy, "
            f"put the file into {_hub_file(entry).parent} by hand, or choose --weights digits, random or a file"
        ) from error


def _verify(path: Path) -> None:
    """Compare the file with the hash that ends its name: torch hub does so only while downloading."""
    published = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if published is None:
        raise WeightsError(f"{path} has no hash in its name that would show whether it is intact: give it as a FILE")
    found = file_sha256(path)
    if not found.startswith(published[1]):
        raise WeightsError(
            f"{path} is damaged or was altered: its SHA-256 begins with {found[:8]}, not {published[1]}; delete it "
            "and fetch it again with the same command"
        )


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        return digits.fingerprint(load_file(path)) == sha256
    except (OSError, SafetensorError):
        return False
