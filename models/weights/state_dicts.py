"""Which of the state dicts that a checkpoint holds is taken: the one of the network, raw before averaged, and said."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

State = dict[str, Tensor]


RAW = ("state_dict", "model_state_dict", "model", "model_state", "net", "network", "module", "weights", "params")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema_model", "ema", "params_ema")
_DEEPEST = 8
_SHOWN = 3


class WeightsError(ValueError):
    """Weights that cannot be used. The text says what was asked, what was found and what to do."""


OF_FLOAT = (
    "give the weights of the float network, of which int8 variants are made here; or export what is deployed to ONNX "
    "and give --onnx FILE"
)


class Chosen(NamedTuple):
    """The state dict that is used, of all that a file holds."""

    state: State
    place: str  # the keys that lead to the state dict, with dots; "" where the file is one
    others: tuple[str, ...]  # those beside
    prefix: str = ""  # what was asked for and is no place, so that it must begin the tensors' names; "" otherwise


def choose(content: Any, file: str, asked: str | None) -> Chosen:
    """The state dict at the place ``asked``, else of a usual name. Raises WeightsError where it is not clear."""
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{file} holds a {type(content).__name__}, not a state dict: save model.state_dict()")
    places = dict(_places(content, "", file, ()))
    if asked is not None:
        return _asked(places, file, asked)
    if not places:
        strangers = [str(key) for key, value in content.items() if not _named_tensor(key, value)]
        if quantized := [key for key in strangers if "_packed_params" in key]:
            raise WeightsError(f"{file} is of a network quantized by torch ({some(quantized)}): {OF_FLOAT}")
        raise WeightsError(
            f"{file} is not a state dict, of its {len(content)} entries {some(strangers)} are not named tensors: "
            "save model.state_dict()"
        )
    usual = sorted((place for place in places if _rank(place) is not None), key=lambda place: _rank(place) or (0, 0))
    if not usual and len(places) > 1:
        raise WeightsError(
            f"{file} holds {len(places)} state dicts, {some(places)}, none of them under a usual name: choose one with "
            "--state-dict KEY"
        )
    place = next(iter(usual or places))
    return Chosen(places[place], place, tuple(other for other in places if other != place))


def _asked(places: Mapping[str, State], file: str, asked: str) -> Chosen:
    place = next((name for name in places if name == asked or name.rpartition(".")[2] == asked), None)
    if place is not None:
        return Chosen(places[place], place, tuple(other for other in places if other != place))
    for place, state in places.items():
        prefix = asked.removeprefix(f"{place}.").rstrip(".") + "."
        if any(name.startswith(prefix) for name in state):
            return Chosen(state, place, tuple(other for other in places if other != place), prefix)
    held = some([place or "one without a name" for place in places]) or "none"
    raise WeightsError(f"{file} holds no state dict {asked!r}: give --state-dict one of those that it holds: {held}")


def _places(content: Mapping[Any, Any], place: str, file: str, above: tuple[int, ...]) -> Iterable[tuple[str, State]]:
    if id(content) in above or len(above) >= _DEEPEST:
        raise WeightsError(
            f"{file} holds a state dict within itself or more than {_DEEPEST} deep: save model.state_dict()"
        )
    useful = {key: value for key, value in content.items() if not str(key).endswith("_extra_state")}
    useful = {key: value for key, value in useful.items() if key != "n_averaged"}  # of torch's AveragedModel
    if useful and all(_named_tensor(key, value) for key, value in useful.items()):
        yield place, useful
        return
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, Mapping) and value and not key.startswith("optim"):
            yield from _places(value, f"{place}.{key}" if place else key, file, (*above, id(content)))


def _named_tensor(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _rank(place: str) -> tuple[int, int] | None:
    """Where this place comes in the order of the usual names; None where its name is none of them."""
    *above, last = place.split(".")
    names = (*RAW, *AVERAGED)
    if last in names:
        return (names.index(last), len(above))
    return (0, 0) if place == "" else None


def averaged(place: str) -> bool:
    """Whether what lies there is by its name a moving average."""
    return place.rpartition(".")[2] in AVERAGED or "ema" in place.split(".")


def some(names: Iterable[str], separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    every = list(names)
    rest = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return separator.join(every[:_SHOWN]) + rest
