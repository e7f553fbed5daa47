"""The weights under study: found or fetched, verified, and kept as one safetensors file named by its hash."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import nn

from isobatch import PROGRAM
from isobatch.models.shared.regular_files import write_whole
from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.resolved import ResolvedWeights
from isobatch.models.weights.beside import read_beside
from isobatch.models.weights.checkpoint import WeightsError, fitted, open_checkpoint
from isobatch.models.weights.digits import weights as digits
from isobatch.models.weights.file_kinds import in_folder
from isobatch.models.weights.found import (
    IMAGENET_NAMES,
    PRETRAINED,
    WeightsFound,
    find_in_file,
    of_factory,
    published,
    remarks,
    timm_published,
    usual_view,
    view_of,
    with_facts,
)
from isobatch.models.weights.model_name import kind_of
from isobatch.models.weights.networks import check_known, skeleton
from isobatch.models.weights.random_weights import SEED, random_state
from isobatch.models.weights.tensor_names import as_named

__all__ = ["WeightsError", "resolve"]

KEYWORDS = ("auto", "digits", "imagenet-v2", "imagenet-v1", "random", PRETRAINED)
_DIGITS_MODEL = "resnet50"
_THESE = "verdicts are evidence for these, not for other weights"
EMBEDDED_NOTE = f"the embedded digits weights; margins, accuracy and {_THESE}"
RANDOM_NOTE = f"random weights (seed {SEED}), never trained: labels and accuracy mean nothing; {_THESE}"


def resolve(
    name: str,
    model: str,
    cache_root: Path,
    offline: bool,
    say: Callable[[str], None],
    state_dict: str | None = None,
    keep: list[nn.Module] | None = None,
) -> ResolvedWeights:
    """The weights that ``name`` asks for: a keyword of KEYWORDS, or a weights file (a keyword wins over a path).

    ``auto`` takes ImageNet weights that a hub's cache already holds, else ``digits`` (ResNet50), else ``random``; of a
    factory those that it gives its network. Only ``imagenet-v1``, ``imagenet-v2`` and ``pretrained`` (timm's) download,
    and not if ``offline``. ``say`` gets lines of progress. ``state_dict``: which of the state dicts in a file is meant.
    ``keep`` gets the network that a factory made with its own weights, which has not run, for whoever needs it here.
    Raises WeightsError where they cannot be had or do not fit; ValueError for an unknown model.
    """
    check_known(model)
    made: nn.Module | None = None
    given: WeightsFound | None = None
    if kind_of(model) == "factory":
        model, made, given = of_factory(model)  # the only call of it here: it may take its time, and print
    if given is not None and name == "auto":
        weights = given
        if keep is not None and made is not None:
            keep.append(made)
    else:
        weights = _find(name, model, offline, say, state_dict, made)
        weights = replace(weights, warnings=(*(given.warnings if given else ()), *weights.warnings))
    net = skeleton(model, 2) if made is None else made
    named = as_named(weights.state, net.state_dict().keys(), weights.prefix)
    shown, told = with_facts(model, net, named.state, weights)
    state, classes = fitted(named.state, shown, weights.source, net if shown == model else None)
    num_classes = None if given is not None else classes
    arrays: dict[str, NDArray[Any]] = {key: tensor.numpy() for key, tensor in state.items()}
    sha256 = digits.fingerprint(arrays)
    path = cache_root / "weights" / f"{sha256}.safetensors"
    if not _is_intact(path, sha256):
        write_whole(path, [save(arrays)])
    view = _seen(weights, shown, Path(name))
    note = "; ".join(text for text in (weights.note, *named.notes, *told) if text)
    warnings = (*weights.warnings, *remarks(weights.source, named))
    return ResolvedWeights(
        weights.source,
        shown,
        str(path),
        sha256,
        num_classes,
        note,
        weights.offer,
        weights.class_names,
        *view,
        warnings=warnings,
    )


def _seen(weights: WeightsFound, model: str, file: Path) -> tuple[View, str, bool]:
    """What pictures are made into, where that is from, and whether nothing says it."""
    if weights.entry is not None:
        return replace(view_of(weights.entry), forced=True), f"torchvision's entry for {weights.source}", False
    if weights.source == "digits":
        return IMAGENET, "as the digits weights were trained", False
    usual, whose, certain = usual_view(model)
    if not weights.own:
        return usual, whose if certain else f"assumed: {whose}", not certain
    beside = read_beside(file)
    if beside.view is not None:
        return beside.view, beside.said, False
    assumed = f"assumed: that of {whose}"
    return usual, f"{assumed} ({beside.said})" if beside.said else assumed, True


def _find(
    name: str, model: str, offline: bool, say: Callable[[str], None], state_dict: str | None, made: nn.Module | None
) -> WeightsFound:
    if state_dict is not None and name in KEYWORDS:
        raise WeightsError(f"--state-dict {state_dict!r} belongs to a file, and --weights {name} is none: leave it out")
    kind = kind_of(model)
    if name in IMAGENET_NAMES and kind != "torchvision":
        instead = f"{PRETRAINED}, random" if kind == "timm" else "auto, random"
        raise WeightsError(f"--weights {name} is torchvision's, and {model} is not: choose {instead} or a file")
    if name == PRETRAINED and kind != "timm":
        raise WeightsError(f"--weights {PRETRAINED} is what timm publishes, and {model} is not timm's: leave it out")
    if name == "auto":
        return _timm_automatic(model, say) if kind == "timm" else _automatic(model, say)
    if name == PRETRAINED:
        say(f"the weights that timm publishes of {model}")
        return timm_published(model, offline)
    if name in IMAGENET_NAMES:
        return _imagenet(name, model, offline, say)
    if name == "digits":
        return _digits(model)
    if name == "random":
        return _random(model, say, made)
    path = Path(name)
    if path.is_file():
        return find_in_file(path, state_dict)
    if path.is_dir():
        raise WeightsError(in_folder(path))
    raise WeightsError(f"no weights {name!r}: it is neither a file nor one of {', '.join(KEYWORDS)}")


def _automatic(model: str, say: Callable[[str], None]) -> WeightsFound:
    known = [name for name in IMAGENET_NAMES if published(name, model) is not None]
    for name in known:
        if _hub_file(published(name, model)).is_file():
            return _imagenet(name, model, True, say)
    weights = _digits(model) if model == _DIGITS_MODEL else _random(model, say)
    which = "" if model == _DIGITS_MODEL else f" --model {model}"
    return replace(weights, offer=f"ImageNet weights: {PROGRAM}{which} --weights {known[0]}" if known else "")


def _timm_automatic(model: str, say: Callable[[str], None]) -> WeightsFound:
    try:
        return timm_published(model, offline=True)
    except WeightsError:
        weights = _random(model, say)
        return replace(weights, offer=f"its published weights: {PROGRAM} --model {model} --weights {PRETRAINED}")


def _digits(model: str) -> WeightsFound:
    if model != _DIGITS_MODEL:
        raise WeightsError(
            f"the digits weights are for {_DIGITS_MODEL}, not {model}: choose --weights random or a file"
        )
    state = {name: torch.from_numpy(array) for name, array in digits.state_dict().items()}
    return WeightsFound("digits", state, EMBEDDED_NOTE)


def _random(model: str, say: Callable[[str], None], made: nn.Module | None = None) -> WeightsFound:
    say(f"making random weights for {model}")
    return WeightsFound("random", random_state(model, net=made), RANDOM_NOTE)


def _hub_file(entry: Any) -> Path:
    url: str = entry.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _imagenet(name: str, model: str, offline: bool, say: Callable[[str], None]) -> WeightsFound:
    entry = published(name, model)
    if entry is None:
        others = [other for other in IMAGENET_NAMES if published(other, model) is not None]
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
    return WeightsFound(name, open_checkpoint(path).state, class_names=tuple(entry.meta["categories"]), entry=entry)


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
    ending = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if ending is None:
        raise WeightsError(f"{path} has no hash in its name that would show whether it is intact: give it as a FILE")
    actual = file_sha256(path)
    if not actual.startswith(ending[1]):
        raise WeightsError(
            f"{path} is damaged or was altered: its SHA-256 begins with {actual[:8]}, not {ending[1]}; delete it "
            "and fetch it again with the same command"
        )


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        return digits.fingerprint(load_file(path)) == sha256
    except (OSError, SafetensorError):
        return False
