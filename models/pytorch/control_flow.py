"""Whether a torch module makes the same calls for a batch as for one image: control flow that looks at the batch."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

from isobatch.models.pytorch.calls import Arguments, Call, Interceptor, called

Place = tuple[str, str]  # the name of calls, without their number, and what is called
Shapes = tuple[tuple[int, ...], ...]  # of one call; a whole number counts as a shape of one length

_MOVING = ("_empty_affine_quantized", "cat", "clone", "contiguous", "copy", "copy_", "empty", "empty_strided",
           "select_copy", "stack")  # fmt: skip
"""Operations that only move values: a loop over the images makes them where one image needs none."""

_ASKING = ("q_scale", "q_zero_point", "qscheme", "q_per_channel_scales", "q_per_channel_zero_points")
"""Operations that only ask a quantized tensor for its scale."""

_PASSED_OVER = frozenset({*_MOVING, *_ASKING})

_ARITHMETIC = ("add", "div", "mul", "pow", "rsub", "sub")
"""Operations whose whole numbers are operands; those of others may be lengths."""


class Followed(NamedTuple):
    """What one run of a module called."""

    calls: dict[Place, list[Shapes]]  # the shapes given in every call of a place
    numbers: dict[Place, frozenset[float]]  # given to the operations of a place, with a fraction or to arithmetic


def follow(module: nn.Module, given: Arguments) -> Followed:
    """Run the module once, and note what it calls."""
    followed = Followed({}, {})

    def note(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        place, leaves = call.name.partition("#")[0], tree_leaves((args, kwargs))
        kind = call.original.overloadpacket.__name__ if isinstance(call.original, OpOverload) else None
        if kind not in _PASSED_OVER:
            shapes = tuple(
                _shape(leaf) if isinstance(leaf, Tensor) else (int(leaf),)
                for leaf in leaves
                if isinstance(leaf, (Tensor, int))
            )
            what = str(call.original) if call.is_operation else type(call.original).__name__
            followed.calls.setdefault((place or "the whole", what), []).append(shapes)
        if kind is not None:
            kinds = (int, float) if kind.rstrip("_") in _ARITHMETIC else (float,)
            numbers = {float(leaf) for leaf in leaves if isinstance(leaf, kinds) and leaf is not True}
            at = place, str(call.original)
            followed.numbers[at] = followed.numbers.get(at, frozenset()) | numbers
        return function(*args, **kwargs)

    called(Interceptor(module, note), given)
    return followed


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return (tensor.size(0),) if tensor.is_nested else tuple(tensor.shape)


def different_calls(alone: Followed, many: Followed, images: int) -> str:
    """What a run of ``images`` images calls otherwise than a run of one, in words; empty if nothing.

    A loop over the images, which makes the calls of one image for each, is no difference.
    """
    for place in dict.fromkeys([*alone.calls, *many.calls]):
        first, second = alone.calls.get(place, []), many.calls.get(place, [])
        if len(second) not in (len(first), images * len(first)):
            counts = f"{_times(len(first))} for one image and {_times(len(second))} for {images}"
            return f"{place[0]} is called {counts}"
        for shapes in second:
            if not any(_of_more_images(alone, shapes, images) for alone in first):
                return f"{place[0]} is given {_said(first[0])} for one image and {_said(shapes)} for {images}"
    return ""


def different_numbers(ones: Sequence[Followed], many: Sequence[Followed], images: int) -> str:
    """Which operation is given another number by a run of ``images`` images than by a run of one, in words.

    Only a number that no image decides: the same for all of ``ones`` and for all of ``many``, whose values differ.
    """
    for place, alone in ones[0].numbers.items():
        together = many[0].numbers.get(place, frozenset())
        if alone == together or any(run.numbers.get(place) != alone for run in ones):
            continue
        if all(run.numbers.get(place) == together for run in many):
            said = (" and ".join(f"{number:g}" for number in sorted(numbers)) for numbers in (alone, together))
            return f"{place[0]} is given {next(said) or 'no number'} for one image and {next(said)} for {images}"
    return ""


def _of_more_images(single: tuple[tuple[int, ...], ...], batched: tuple[tuple[int, ...], ...], images: int) -> bool:
    """Whether these shapes differ in nothing but lengths that grow with the number of images."""
    if [len(shape) for shape in single] != [len(shape) for shape in batched]:
        return False
    pairs = [pair for shapes in zip(single, batched, strict=True) for pair in zip(*shapes, strict=True)]
    return all(many in (of_single, images * of_single) for of_single, many in pairs)


def _said(shapes: Shapes) -> str:
    return " and ".join(str([*shape]) for shape in shapes) or "no tensor"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times" if count else "never"
