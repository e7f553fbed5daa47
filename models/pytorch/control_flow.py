"""Whether a torch module makes the same calls for a batch as for one image: control flow that looks at the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

from isobatch.models.pytorch.calls import Call, Interceptor

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

Place = tuple[str, str]  # the name of calls, without their number, and what is called
Shapes = tuple[tuple[int, ...], ...]  # of one call; a whole number counts as a shape of one length

_MOVING = (
    "_empty_affine_quantized",
    "cat",
    "clone",
    "contiguous",
    "copy",
    "copy_",
    "empty",
    "empty_strided",
    "select_copy",
    "stack",
)
"""Operations that only move values: a loop over the images makes them where one image needs none."""

_ASKING = ("q_scale", "q_zero_point", "qscheme", "q_per_channel_scales", "q_per_channel_zero_points")
"""Operations that only ask a quantized tensor for its scale."""

_ARITHMETIC = ("add", "div", "mul", "pow", "rsub", "sub")
"""Operations whose whole numbers are operands; those of others may be lengths."""

_PASSED_OVER = frozenset({*_MOVING, *_ASKING})


def different_calls(module: nn.Module, one: Arguments, many: Arguments, images: int) -> str:
    """What a run of ``images`` images calls otherwise than a run of one, in words; empty if nothing.

    A loop over the images, which makes the calls of one image for each, is no difference.
    """
    single, batched = _calls(module, one), _calls(module, many)
    for place in dict.fromkeys([*single, *batched]):
        first, second = single.get(place, []), batched.get(place, [])
        if len(second) not in (len(first), images * len(first)):
            counts = f"{_times(len(first))} for one image and {_times(len(second))} for {images}"
            return f"{place[0]} is called {counts}"
        for shapes in second:
            if not any(_of_more_images(alone, shapes, images) for alone in first):
                return f"{place[0]} is given {_said(first[0])} for one image and {_said(shapes)} for {images}"
    return ""


def different_numbers(module: nn.Module, ones: Sequence[Arguments], many: Sequence[Arguments], images: int) -> str:
    """Which operation is given another number by a run of ``images`` images than by a run of one, in words.

    Only a number that no image decides: the same for all of ``ones`` and for all of ``many``, whose values differ.
    """
    singles, batches = ([_numbers(module, given) for given in runs] for runs in (ones, many))
    for place, alone in singles[0].items():
        together = batches[0].get(place, frozenset())
        if alone == together or any(found.get(place) != alone for found in singles):
            continue
        if all(found.get(place) == together for found in batches):
            said = (" and ".join(f"{number:g}" for number in sorted(found)) for found in (alone, together))
            return f"{place[0]} is given {next(said) or 'no number'} for one image and {next(said)} for {images}"
    return ""


def _numbers(module: nn.Module, given: Arguments) -> dict[Place, frozenset[float]]:
    """The numbers given to the operations of a place: with a fraction, or to arithmetic."""
    made: dict[Place, frozenset[float]] = {}

    def note(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(call.original, OpOverload):
            kinds = (int, float) if call.original.overloadpacket.__name__.rstrip("_") in _ARITHMETIC else (float,)
            numbers = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, kinds) and leaf is not True]
            place = call.name.partition("#")[0], str(call.original)
            made[place] = made.get(place, frozenset()) | {float(number) for number in numbers}
        return function(*args, **kwargs)

    Interceptor(module, note)(*given[0], **given[1])
    return made


def _calls(module: nn.Module, given: Arguments) -> dict[Place, list[Shapes]]:
    """The shapes given in every call of a place, by place."""
    made: dict[Place, list[Shapes]] = {}

    def note(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not (isinstance(call.original, OpOverload) and call.original.overloadpacket.__name__ in _PASSED_OVER):
            leaves = tree_leaves((args, kwargs))
            shapes = tuple(
                tuple(leaf.shape) if isinstance(leaf, Tensor) else (int(leaf),)
                for leaf in leaves
                if isinstance(leaf, (Tensor, int))
            )
            called = str(call.original) if call.is_operation else type(call.original).__name__
            made.setdefault((call.name.partition("#")[0] or "the whole", called), []).append(shapes)
        return function(*args, **kwargs)

    Interceptor(module, note)(*given[0], **given[1])
    return made


def _of_more_images(single: tuple[tuple[int, ...], ...], batched: tuple[tuple[int, ...], ...], images: int) -> bool:
    """Whether these shapes differ in nothing but lengths that grow with the number of images."""
    if [len(shape) for shape in single] != [len(shape) for shape in batched]:
        return False
    pairs = [pair for shapes in zip(single, batched, strict=True) for pair in zip(*shapes, strict=True)]
    return all(many in (one, images * one) for one, many in pairs)


def _said(shapes: Shapes) -> str:
    return " and ".join(str([*shape]) for shape in shapes) or "no tensor"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times" if count else "never"
