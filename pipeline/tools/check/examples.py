"""The examples that a network is checked on: drawn, or the user's. Runs in a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import load
from isobatch.models.spec.batches import ONLY, batch_of
from isobatch.models.spec.images import View, normalise
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs.arrays import ARRAYS, loaded
from isobatch.pipeline.inputs.choose import Unusable
from isobatch.pipeline.inputs.decode import SUFFIXES, decode
from isobatch.pipeline.inputs.drawn import values
from isobatch.pipeline.inputs.listing import list_pictures
from isobatch.pipeline.inputs.request import InputError
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.tools.check.asked import Shapes

Rows = NDArray[Any]


@dataclass(frozen=True)
class ExampleRows:
    """Rows [n, ...] as ``isobatch.models.user_inputs`` has them, and where they come from, in words."""

    rows: Rows
    source: str


def random_examples(shapes: Shapes, count: int, seed: int, inputs: Sequence[Input] = ()) -> ExampleRows:
    """``count`` examples of these shapes: normal values, several inputs by position; of an ONNX file's ``inputs`` such
    values as each may have (``isobatch.pipeline.inputs.drawn``).
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    if not inputs or (len(inputs) == 1 and inputs[0].dtype == "float32"):
        drawn = tuple(generator.standard_normal((count, *shape), np.float32) for shape in shapes)
        rows = load("isobatch.models.user_inputs:as_rows")(drawn if len(drawn) > 1 else drawn[0])
        return ExampleRows(rows, f"{counted(count, 'example')}, normal values (seed {seed})")
    exact = [replace(tensor, shape=shape) for tensor, shape in zip(inputs, shapes, strict=True)]
    each = [{tensor.name: values(tensor, generator) for tensor in exact} for _ in range(count)]
    parts = {tensor.name: np.stack([row[tensor.name] for row in each]) for tensor in exact}
    batch = batch_of(parts if len(parts) > 1 else {ONLY: parts[exact[0].name]})
    return ExampleRows(batch, f"{counted(count, 'example')}, drawn (seed {seed})")


def read(
    path: Path,
    count: int,
    shapes: Shapes,
    view: View,
    inputs: Sequence[Input] = (),
    batch_axes: Mapping[str, int] = MappingProxyType({}),
) -> ExampleRows:
    """At most ``count`` examples of a file of arrays, a picture, or a folder of pictures. Raises UsageError.

    Pictures are cut to the shape's pixels and normalised as ``view`` says; so are arrays of uint8 [n, 3, h, w]. Several
    arrays of a file are inputs by keyword. ``inputs``: of an ONNX file what it takes; pixels that it takes as they
    are stay so. ``batch_axes``: where the batch of an array is not its first axis.
    """
    raw = len(inputs) == 1 and inputs[0].dtype == "uint8"
    if path.suffix.lower() in ARRAYS:
        axes = {"": next(iter(batch_axes.values()), 0) if len(inputs) == 1 else 0, **batch_axes}
        rows = _arrays(path, count, None if raw else view, axes)
    elif path.is_dir() or path.suffix.lower() in SUFFIXES:
        rows = _pictures(path, count, shapes, view, inputs[0] if len(inputs) == 1 else None)
    else:
        raise _error(f"{path} is no .npy, .npz or .safetensors file, picture or folder")
    if len(rows) < 2:
        raise _error(f"{path} holds {counted(len(rows), 'example')}: two are needed at least, to have a batch")
    return ExampleRows(rows, f"{counted(len(rows), 'example')} of {path}")


def _arrays(path: Path, count: int, view: View | None, axes: Mapping[str, int]) -> Rows:
    try:
        parts = {
            name: np.moveaxis(part, axes.get(name, 0), 0)[:count] if part.ndim else part
            for name, part in loaded(path).items()
        }
        cut = {name: _values(part, view) for name, part in parts.items()}
        rows: Rows = load("isobatch.models.user_inputs:as_rows")(cut.get("", cut))
    except InputError as error:
        raise _error(str(error)) from error
    except (TypeError, ValueError) as error:  # numpy's of an axis that an array has not among them
        raise _error(f"{path}: {error}") from error
    return rows


def _values(part: Rows, view: View | None) -> Rows:
    if view is not None and part.dtype == np.uint8 and part.ndim == 4 and part.shape[1] == 3:
        return normalise(np.ascontiguousarray(part.transpose(0, 2, 3, 1)), view.mean, view.std)
    return np.array(part)


def _shown(shapes: Shapes) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _pictures(path: Path, count: int, shapes: Shapes, view: View, tensor: Input | None) -> Rows:
    shape = shapes[0] if len(shapes) == 1 else ()
    if tensor is not None and tensor.layout == "NHWC" and len(shape) == 3:
        shape = (shape[2], *shape[:2])
    if len(shape) != 3 or shape[0] != 3:
        arrays = "a .npz with one array an input" if len(shapes) > 1 else "an array (.npy)"
        raise _error(f"the network takes {_shown(shapes)}, which no picture is: give {arrays} in place of {path}")
    files = list_pictures(path.resolve())[0] if path.is_dir() else [path]
    made: list[Rows] = []
    seen: set[bytes] = set()
    for file in files:
        try:
            picture = decode(file, (shape[1], shape[2]), view)
        except Unusable:
            continue
        if (content := picture.tobytes()) not in seen:
            seen.add(content)
            made.append(picture)
        if len(made) == count:
            break
    if not made:
        raise _error(f"{path} holds no picture that can be used (jpeg, png, webp or bmp)")
    if tensor is not None and tensor.dtype == "uint8":
        return np.stack(made)
    return normalise(np.stack(made), view.mean, view.std)


def _error(text: str) -> UsageError:
    return UsageError("check-inputs", text)
