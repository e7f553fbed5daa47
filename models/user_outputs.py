"""What a user's network gives back: a tensor, or tensors in dicts, tuples and dataclasses, taken apart and rebuilt."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isobatch.models.pytorch.tensors import to_numpy

Leaves = dict[str, NDArray[Any]]
"""Arrays by where they stand in the output: ``""``, ``logits``, ``0``, ``boxes.1``."""

_FEW = 1, 2  # examples in the calls that tell which axis counts them


def tensors(result: Any) -> dict[str, Tensor]:
    """Every tensor of a result by its place. What is none (None, numbers, text) is left out."""
    leaves: dict[str, Tensor] = {}

    def visit(value: Any, path: str) -> Any:
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            leaves[path] = value
        else:
            mapped([value], lambda parts, inner: visit(parts[0], inner), path)
        return value

    visit(result, "")
    return leaves


def mapped(values: Sequence[Any], change: Callable[[Sequence[Any], str], Any], path: str = "") -> Any:
    """A container like the first of ``values``, which are alike, with ``change(items, path)`` for each place's items.

    What is no container is given back as it is.
    """
    first = values[0]

    def at(name: Any, items: Sequence[Any]) -> Any:
        return change(items, f"{path}.{name}".removeprefix("."))

    if isinstance(first, Mapping):
        made = {key: at(key, [value[key] for value in values]) for key in first}
        return made if type(first) is dict else _like(first, made)
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        twin = copy.copy(first)
        for field in dataclasses.fields(first):
            items = [getattr(value, field.name) for value in values]
            object.__setattr__(twin, field.name, at(field.name, items))
        return twin
    if isinstance(first, (tuple, list)):
        parts = [at(place, items) for place, items in enumerate(zip(*values, strict=True))]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return first


def _like(first: Any, made: Mapping[Any, Any]) -> Any:
    twin = copy.copy(first)
    for key, value in made.items():
        twin[key] = value
    return twin


def arrays(result: Any) -> Leaves:
    """The values of every tensor; of a quantized one its integers. Raises TypeError for one that has none."""
    values = {}
    for path, tensor in tensors(result).items():
        try:
            if tensor.is_nested:
                raise TypeError("it is a nested tensor")
            values[path] = to_numpy(tensor.detach().int_repr() if tensor.is_quantized else tensor.detach())
        except (RuntimeError, TypeError) as error:
            raise TypeError(f"the {told(path)} cannot be compared ({error}): dense tensors are expected") from None
    return values


def told(path: str) -> str:
    """The output at this place, in words."""
    return f"output {path!r}" if path else "output"


def with_rows(of_one: Leaves, two: Leaves) -> tuple[str, ...]:
    """The places whose first axis counts the examples; those that all examples share, with equal bytes, are left out.

    ``of_one`` and ``two``: what the network gave for one example and for two. Raises TypeError where another axis
    counts them, where something depends on the examples without being of one of them, or where nothing has rows.
    """
    if of_one.keys() != two.keys():
        raise TypeError(
            f"the network gives {sorted(of_one) or 'no tensor'} for one example and {sorted(two) or 'none'} for two: "
            "the same outputs are expected for every number of examples, tensors [n, ...] (of a detector: its heads, "
            "before they become an entry an image)"
        )
    places = []
    for path, single in of_one.items():
        pair = two[path]
        if (single.shape[:1], pair.shape[:1]) == ((_FEW[0],), (_FEW[1],)):
            places.append(path)
        elif (single.shape, single.tobytes()) != (pair.shape, pair.tobytes()):
            raise TypeError(f"the {told(path)} has the shape {_shape(single, pair)}")
    if not places:
        raise TypeError(
            "no output has one row for each example: a tensor [n, ...] is expected, or a tuple, dict or dataclass "
            f"with some ({_found(two)})"
        )
    return tuple(places)


def _shape(single: NDArray[Any], pair: NDArray[Any]) -> str:
    if single.ndim == pair.ndim:
        axes = [axis for axis, sizes in enumerate(zip(single.shape, pair.shape, strict=True)) if len({*sizes}) > 1]
        if axes:
            (axis, *_) = axes
            words = ["n" if place == axis else str(size) for place, size in enumerate(single.shape)]
            if axis and single.shape[axis] == 1:
                return (
                    f"[{', '.join(words)}], with the examples on axis {axis}: they are expected on the first axis, "
                    f"[n, ...]; return it with that axis moved to the front"
                )
            return (
                f"{list(single.shape)} for one example and {list(pair.shape)} for two: one row for each example is "
                "expected, [n, ...]"
            )
    return (
        f"{list(pair.shape)} for two examples and depends on them: one row for each example is expected, [n, ...], "
        "not one value for all of them"
    )


def _found(leaves: Leaves) -> str:
    shapes = ", ".join(f"{told(path)} {list(value.shape)}" for path, value in leaves.items())
    return f"two examples gave {shapes}" if shapes else "it gave no tensor"


def joined(leaves: Leaves, places: Sequence[str]) -> NDArray[Any]:
    """Rows [n, values] that hold all of these outputs: in their type if they have one in common, else their bytes."""
    parts = [np.ascontiguousarray(leaves[place]).reshape(len(leaves[place]), -1) for place in places]
    first = parts[0].dtype
    if all(part.dtype == first for part in parts) and first.kind not in "cb":
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return np.concatenate([np.ascontiguousarray(part).view(np.uint8) for part in parts], axis=1)
