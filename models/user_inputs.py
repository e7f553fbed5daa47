"""What a user calls a network with, as rows that can be cut, turned and repeated: [n, ...] in one array.

One tensor is an array of its own. Several are the fields of a structured array, in which every row holds its part of
each of them: positional ones are named by their numbers, others by their keywords.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isobatch.models.pytorch.calls import Arguments
from isobatch.models.pytorch.tensors import to_numpy
from isobatch.models.spec.batches import ONLY, batch_of, parts_of

_EXPECTED = (
    "an array, a tuple of arrays, or a dict of arrays by keyword, each with one row an example on its first axis"
)


def as_rows(inputs: Any) -> NDArray[Any]:
    """The examples as one array of n rows, structured where there are several inputs. Floats become float32.

    float64 stays. Raises TypeError for anything else than an array or tensor, or a tuple or dict of them, ValueError
    for fewer than two examples, or inputs of different lengths.
    """
    if isinstance(inputs, Mapping):
        named = {str(name): _array(value, repr(name)) for name, value in inputs.items()}
    elif isinstance(inputs, tuple):
        named = {str(place): _array(value, f"number {place}") for place, value in enumerate(inputs)}
    else:
        return _enough({"": _array(inputs, "")})[""]
    named = _enough(named)
    if list(named) == ["0"]:
        return named["0"]
    return batch_of(named)


def require_keywords(rows: NDArray[Any]) -> None:
    """Raise TypeError for inputs of a torch module by names that no call can give."""
    names = [name for name in rows.dtype.names or () if not name.isdigit()]
    if wrong := [name for name in names if not name.isidentifier()]:
        raise TypeError(f"an input is named {wrong[0]!r}, which is no keyword of a call: give {_EXPECTED}")


def described(rows: NDArray[Any]) -> str:
    """The inputs of one example in words: ``float32 [3, 224, 224]``, ``ids int64 [12] and mask bool [12]``."""
    if not rows.dtype.names:
        return f"{rows.dtype} {list(rows.shape[1:])}"
    parts = []
    for name in rows.dtype.names:
        kind, shape = rows.dtype[name].base, list(rows.dtype[name].shape)
        parts.append(f"{f'input {name}' if name.isdigit() else name} {kind} {shape}")
    return " and ".join(parts)


def as_arguments(rows: NDArray[Any], tensor: Callable[[NDArray[Any]], Tensor]) -> Tensor | Arguments:
    """What the network is called with for these rows; ``tensor`` makes one of each input's array."""
    made = {name: tensor(part) for name, part in parts_of(rows).items()}
    if list(made) == [ONLY]:
        return made[ONLY]
    args = tuple(value for name, value in made.items() if name.isdigit())
    return Arguments(args, {name: value for name, value in made.items() if not name.isdigit()})


def _array(value: Any, which: str) -> NDArray[Any]:
    if isinstance(value, Tensor):
        value = to_numpy(value.detach().float() if value.dtype.itemsize < 4 and value.is_floating_point() else value)
    try:
        made = np.ascontiguousarray(value)
        made = made.astype(made.dtype.newbyteorder("="), copy=False)
    except ValueError as error:  # rows of different lengths
        raise TypeError(f"input {which} is no array ({error}): give {_EXPECTED}".replace("  ", " ")) from None
    if made.dtype.kind not in "fiub" or made.ndim == 0 or np.ndim(value) == 0:
        of = f"array of {made.dtype}" if np.ndim(value) else type(value).__name__
        kind = f"a single {made.dtype}" if made.dtype.kind in "fiub" else f"a{'n' * of.startswith('array')} {of}"
        raise TypeError(f"input {which} is {kind}: give {_EXPECTED}".replace("  ", " "))
    return made.astype(np.float32) if made.dtype.kind == "f" and made.dtype != np.float64 else made


def _enough(named: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    lengths = {len(value) for value in named.values()}
    if len(lengths) != 1:
        told = ", ".join(f"{name} {list(value.shape)}" for name, value in named.items())
        raise ValueError(f"inputs of different lengths ({told or 'none'}): give {_EXPECTED}")
    if lengths.pop() < 2:
        ((_, value), *_) = named.items()
        raise ValueError(f"example inputs of shape {list(value.shape)}: give at least two, [n, ...]")
    return named
