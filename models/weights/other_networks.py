"""Networks that torchvision does not have: timm's by name, and what a user's own factory makes."""

import os
from typing import Any

import torch
from torch import nn

from isobatch import PROGRAM
from isobatch.models.shared.extras import to_add
from isobatch.models.shared.regular_files import Altered
from isobatch.models.spec.images import View
from isobatch.models.spec.nearest import nearest
from isobatch.models.user_copy import as_measured, check_parameters, faking
from isobatch.models.user_factory import FactoryError, channels_of, code_of, made, uncompiled, with_one_output
from isobatch.models.weights.beside import view_of_timm
from isobatch.models.weights.model_name import TIMM, ModelName
from isobatch.models.weights.state_dicts import WeightsError

_FLOAT = "give the float network, of which int8 variants are made here"


def timm() -> Any:
    """The library. Raises WeightsError with the command that adds it."""
    try:
        import timm as library
    except ImportError as error:
        missing = "is not installed" if error.name == "timm" else f"cannot be imported ({error})"
        raise WeightsError(f"timm's networks need timm, which {missing}: {to_add('timm')}") from error
    return library


def check_timm(name: ModelName) -> None:
    """Raise ValueError, with the nearest known name, unless timm has this network; WeightsError without timm."""
    library, called = timm(), name.architecture.removeprefix(TIMM)
    if library.is_model(called):
        try:
            library.get_pretrained_cfg(called)
        except RuntimeError as error:  # the network is known, what stands behind the dot is not
            base, _, tag = called.partition(".")
            there = ", ".join(f"{TIMM}{full}" for full in library.list_pretrained(f"{base}.*")) or f"{TIMM}{base}"
            raise ValueError(f"timm has no weights {tag!r} of {base!r}: give one of {there}") from error
        return
    known = library.list_models()
    near = nearest(called.partition(".")[0], known)
    raise ValueError(
        f"unknown model {name.architecture!r}: did you mean '{TIMM}{near}'? timm {library.__version__} has {len(known)}"
    )


def timm_network(name: ModelName, num_classes: int, pretrained: bool = False) -> nn.Module:
    """timm's network of this name. Raises what timm raises."""
    called = name.architecture.removeprefix(TIMM)
    options = {} if pretrained else {"num_classes": num_classes}
    net: nn.Module = timm().create_model(called, pretrained=pretrained, in_chans=name.channels, **options)
    return net


def timm_view(name: ModelName) -> View | None:
    """What timm's configuration of this network says of its pictures; None where it does not say it plainly."""
    config = timm().get_pretrained_cfg(name.architecture.removeprefix(TIMM))
    try:
        return view_of_timm(config.to_dict())
    except (AttributeError, ValueError, TypeError, KeyError, ZeroDivisionError):
        return None


def timm_pretrained(name: ModelName, offline: bool) -> nn.Module:
    """The network with the weights that timm publishes of it; ``offline``: out of the hub's cache only.

    Raises WeightsError where they cannot be had.
    """
    library, called = timm(), name.architecture.removeprefix(TIMM)
    config = library.get_pretrained_cfg(called)
    if config is None or not (config.hf_hub_id or config.url):
        raise WeightsError(f"timm publishes no weights of {called}: choose --weights random or a file")
    try:
        if offline:
            from huggingface_hub import constants

            constants.HF_HUB_OFFLINE = True  # of this process, which serves one request
        return timm_network(name, 0, pretrained=True)
    except Exception as error:  # of the hub's client, its transport, or a file that is no weights
        how = "are not in the hub's cache, and --offline forbids to download them" if offline else "cannot be had"
        said = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"the weights that timm publishes of {called} {how} ({type(error).__name__}: {said}): choose "
            "--weights random or a file"
        ) from error


def own_network(name: ModelName) -> nn.Module:
    """What the factory of this name makes, float32, as it is run: with one output, in eval mode if it is in training.

    Raises FactoryError; Altered where its code is not that of the name.
    """
    folder = os.getcwd()
    net = uncompiled(made(name.architecture, folder)).float()
    if name.code and (code := code_of(net, name.architecture, folder)) != name.code:
        raise Altered(f"the code of {name.architecture} changed ({code}, not {name.code}): run again with --fresh")
    return with_one_output(as_measured(net))


def described(name: ModelName) -> tuple[ModelName, nn.Module]:
    """The factory's name with what its network shows, and that network.

    Raises WeightsError where the factory makes none that could be stored.
    """
    folder = os.getcwd()
    try:
        net = uncompiled(made(name.architecture, folder))
        check_parameters(net)
    except (FactoryError, TypeError) as error:
        raise WeightsError(str(error)) from error
    if why := why_no_study(net):
        raise WeightsError(f"{name.architecture}: {why}; {PROGRAM} check {name.architecture} compares it as it is")
    channels = channels_of(net) or 3
    code = code_of(net.float(), name.architecture, folder)
    return ModelName(name.architecture, channels, code=code), net


def why_no_study(net: nn.Module) -> str:
    """Why a study, which stores a network's numbers and casts them, cannot take this one; "" where it can."""
    state = net.state_dict()
    if strange := [key for key, value in state.items() if not isinstance(value, torch.Tensor)]:
        return f"{strange[0]!r} of its state dict is no tensor, and cannot be stored: {_FLOAT}"
    if odd := [key for key, value in state.items() if value.is_complex() or value.layout != torch.strided]:
        return f"{odd[0]!r} of its state dict is no dense tensor of real numbers, and cannot be stored"
    if faked := faking(net):
        return f"{faked[0]!r} imitates quantization, as in training for it, and computes in float32 alone: {_FLOAT}"
    return ""
