"""A user's graph tried on the user's own images: does it give each its own row, and what is the outcome in it?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from isobatch.models.ort.calls import feed, leaves_of, side_by_side
from isobatch.models.ort.check_user_file import OnnxError, check_onnx
from isobatch.models.ort.interface import copy_first_axis, last_operators
from isobatch.models.ort.session import open_session
from isobatch.models.spec.images import Images
from isobatch.models.spec.interface import Input
from isobatch.models.spec.outcome import Leaf, Outcome

_SEEN = 8  # images whose rows tell the kind of outcome
_UNIT = 1e-3  # how far from 1 the length of a normalised row may be


@dataclass(frozen=True)
class Tried:
    """``refusal``: why the graph takes no such images, or None. ``rewritten``: the graph where it had to be changed."""

    refusal: str | None
    outcome: Outcome | None = None
    rewritten: onnx.ModelProto | None = None


def tried(path: Path, images: Images, sha256: str | None, called: str, asked: str = "auto") -> Tried:
    """What came of one and two images of this set alone and together.

    A Reshape that keeps a batch of 1 is made to copy the axis instead, where that gives two rows for two images.
    Raises OnnxError where the file is not one to be run at all or has not the outcome ``asked``; Altered where it is
    another one than was checked.
    """
    checked = check_onnx(path, sha256)
    if unfit := unfitting(checked.inputs, images):
        return Tried(unfit)
    few = images.read(0, min(len(images), _SEEN))
    pair = few[:2] if len(few) > 1 else np.concatenate([few, few])
    model, rewritten = checked.model, None
    try:
        single = _outputs(model, pair[:1])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        return Tried(f"{called} loads but cannot run one of these images: {_first_line(error)}; give others")
    try:
        _two_rows(_outputs(model, pair), called)
    except Exception as error:
        rewritten = onnx.ModelProto()
        rewritten.CopyFrom(model)
        copy_first_axis(rewritten, 1)
        try:
            _two_rows(_outputs(rewritten, pair), called)
            if side_by_side(_outputs(rewritten, pair[:1]), 1).tobytes() != side_by_side(single, 1).tobytes():
                raise OnnxError("its outputs change")
        except Exception:
            return Tried(
                f"{called} takes one image and not two: its batch of 1 is baked into the graph ({_first_line(error)}); "
                "export it again with a free batch: x.flatten(1) in place of x.view(1, -1), and "
                "torch.onnx.export(..., dynamic_shapes=({0: 'n'},))"
            )
        model = rewritten
    outputs = _outputs(model, few)
    try:
        rows = side_by_side(outputs, len(few))
    except ValueError as error:
        return Tried(f"{called}: {error}; export it with the batch on the first axis of each output")
    return Tried(None, choose(model, leaves_of(outputs), rows, asked), rewritten)


def unfitting(inputs: tuple[Input, ...], images: Images) -> str | None:
    """How the images of a set differ from what a graph takes, in words; None where they fit."""
    if images.fields:
        given = {field.name: (field.dtype, field.shape) for field in images.fields}
    else:
        layout, kind = (images.fed or "NCHW float32").split()
        channels, height, width = images.shape[1:]
        shape: tuple[int, ...] = (height, width, channels) if layout == "NHWC" else (channels, height, width)
        given = {inputs[0].name: (kind, shape)}
    if len(inputs) == 1 and len(given) == 1:
        given = {inputs[0].name: next(iter(given.values()))}
    takes = "; ".join(map(str, inputs))
    if {one.name for one in inputs} != set(given):
        return f"its inputs are {takes}, and arrays {', '.join(sorted(given))} were given"
    for one in inputs:
        kind, shape = given[one.name]
        if kind != one.dtype or not one.takes(shape):
            return f"it takes {one}, and these are {kind} [n, {', '.join(map(str, shape))}]"
    return None


def _outputs(model: onnx.ModelProto, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
    session: ort.InferenceSession = open_session(
        model.SerializeToString(), threads=len(os.sched_getaffinity(0)), quiet=True
    )
    names = [value.name for value in session.get_inputs()]
    values = session.run(None, feed(names, images))
    return dict(zip([value.name for value in session.get_outputs()], values, strict=True))


def _two_rows(outputs: Mapping[str, NDArray[Any]], called: str) -> None:
    for name, value in outputs.items():
        if np.asarray(value).shape[:1] != (2,):
            raise OnnxError(f"{called} gives {name!r} of shape {list(np.asarray(value).shape)} for two images")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]


def choose(model: onnx.ModelProto, leaves: tuple[Leaf, ...], rows: NDArray[Any], asked: str = "auto") -> Outcome:
    """The outcome in rows of these outputs: the kind ``asked``, or by shape, last operator and values.

    Of several outputs the first with one row of values an image, else the first. Raises OnnxError where the outputs do
    not have the kind asked for.
    """
    leaf = next((one for one in leaves if _axes(one) == 1 and one.dtype.startswith("float")), leaves[0])
    last = last_operators(model).get(leaf.name, "")
    values = rows[:, leaf.start : leaf.stop].astype(np.float64)
    kind, why = _kind(leaf, last, values)
    size = leaf.stop - leaf.start
    if asked != "auto":
        if (asked == "binary") != (size == 1) and asked in ("binary", "classes", "labels"):
            raise OnnxError(
                f"--outcome {asked}: the output {leaf.name!r} has {size} value{'s' * (size != 1)} an image; "
                f"give --outcome {kind}, which it looks like"
            )
        kind, why = asked, "as --outcome says"
    probable = last == "Sigmoid" or (last != "Gemm" and bool(((values >= 0) & (values <= 1)).all()))
    threshold = 0.5 if kind in ("binary", "labels") and probable else 0.0
    at = f", above {threshold:g}" if kind in ("binary", "labels") else ""
    of = f" of {leaf.name!r}" if len(leaves) > 1 else ""
    return Outcome(kind, leaf.start, leaf.stop, threshold, leaves, f"outcome: {kind}{of}{at} ({why})")  # type: ignore[arg-type]


def _kind(leaf: Leaf, last: str, values: NDArray[np.float64]) -> tuple[str, str]:
    axes, size = _axes(leaf), leaf.stop - leaf.start
    if not leaf.dtype.startswith("float"):
        return "raw", f"its values are {leaf.dtype}"
    if size == 1:
        return "binary", "one value an image"
    if axes > 1:
        return "raw", f"{axes} axes an image"
    if last == "Sigmoid":
        return "labels", "a sigmoid for each label"
    lengths = np.sqrt(np.square(values).sum(axis=1))
    if last == "LpNormalization" or (size > 2 and bool((np.abs(lengths - 1) < _UNIT).all()) and (values < 0).any()):
        return "embedding", "rows of length 1"
    return "classes", f"the largest of {size} values; --outcome embedding, labels or raw where it is another"


def _axes(leaf: Leaf) -> int:
    return sum(length != 1 for length in leaf.shape)
