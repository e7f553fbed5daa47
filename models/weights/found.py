"""Weights as they were found, before they are fitted: what a checkpoint shows and does not show of its network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isobatch.models.spec.words import Remark
from isobatch.models.weights.checkpoint import WeightsError, open_checkpoint
from isobatch.models.weights.model_name import TRANSFORMING, read_name
from isobatch.models.weights.networks import State, skeleton, stem
from isobatch.models.weights.state_dicts import averaged, some
from isobatch.models.weights.tensor_names import Named


@dataclass(frozen=True)
class Found:
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


def find_in_file(path: Path, state_dict: str | None) -> Found:
    """The state dict of the user's file, ``state_dict`` where it is named. Raises WeightsError."""
    chosen = open_checkpoint(path, state_dict)
    place = f"its state dict under {chosen.place!r} is used" if chosen.place else ""
    warnings: tuple[Remark, ...] = ()
    if chosen.others and state_dict is None:
        kind = "the averaged weights" if averaged(chosen.place) else "the weights"
        others = " and ".join(f"{other!r}{' (averaged)' if averaged(other) else ''}" for other in chosen.others)
        text = f"{path.name} holds more than one state dict: {kind} under {chosen.place!r} are used, and not {others}: "
        warnings = (Remark("other-weights", f"{text}--state-dict {chosen.others[0]} takes the other"),)
    return Found(path.name, chosen.state, place, own=True, prefix=chosen.prefix, warnings=warnings)


def with_facts(model: str, state: State, weights: Found) -> tuple[str, list[str]]:
    """The model's name with what its weights show and do not show, and what to say of it. Raises WeightsError."""
    name, told = read_name(model), []
    first = stem(skeleton(model, 2))
    weight = state.get(f"{first[0]}.weight") if first else None
    if first is not None and weight is not None and weight.ndim == 4 and weight.shape[1] != name.channels:
        if name.architecture in TRANSFORMING:
            raise WeightsError(
                f"{weights.source} takes images of {weight.shape[1]} channels, and {name.architecture} 3: export the "
                "network to ONNX and give --onnx FILE"
            )
        name = replace(name, channels=weight.shape[1])
        told.append(f"its first convolution takes {weight.shape[1]} channel{'s' * (weight.shape[1] != 1)}")
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
