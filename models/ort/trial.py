"""A user's graph tried on the user's own images: does it give each its own row, and what is the outcome in it?"""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from isobatch import PROGRAM
from isobatch.models.ort.calls import call, leaves_of, outputs_of, side_by_side
from isobatch.models.ort.check_user_file import OnnxError, check_onnx
from isobatch.models.ort.interface import (
    copy_first_axis,
    first_axes,
    last_nodes,
    where_axes_lead,
    where_names_say,
    without_rows,
)
from isobatch.models.ort.session import in_words, open_session
from isobatch.models.spec.images import Images
from isobatch.models.spec.interface import Input
from isobatch.models.spec.outcome import Leaf, Outcome

_FREE_BATCH = (
    "export it again with a free batch: x.flatten(1) in place of x.view(1, -1), and "
    "torch.onnx.export(..., dynamic_shapes=({0: 'n'},))"
)
SEEN = 8  # images whose rows tell the kind of outcome
_ANSWERS = ("logit", "prob", "score", "class", "label")
_LOOKED_THROUGH = (("classes", "Softmax"), ("labels", "Sigmoid"), ("binary", "Sigmoid"))
_UNIT = 1e-3  # how far from 1 the length of a normalised row may be


@dataclass(frozen=True)
class Tried:
    """What came of running a graph on some images."""

    refusal: str | None  # why the graph takes no such images, or None
    outcome: Outcome | None = None
    rewritten: onnx.ModelProto | None = None  # the graph where it had to be changed
    in_own_types: bool = False  # a torch network that takes them, only not as a copy in float32


def tried(path: Path, images: Images, sha256: str | None, called: str, asked: str = "auto") -> Tried:
    """What came of one and two images of this set alone and together.

    Reshape nodes that hold a batch size are made to copy the axis instead, where that gives two rows for two images.
    Raises OnnxError where the file is not one to be run at all or has not the outcome ``asked``; Altered where it is
    another one than was checked.
    """
    checked = check_onnx(path, sha256)
    if unfit := unfitting(checked.inputs, images):
        return Tried(unfit)
    few = images.read(0, min(len(images), SEEN))
    pair = few[:2] if len(few) > 1 else np.concatenate([few, few])
    model, rewritten = checked.model, None
    if (failure := _failure(model, pair)) is not None:
        rewritten = _with_copied_batch(model, pair)
        if rewritten is None:
            return Tried(f"{called} {failure}")
        model = rewritten
    session = _session(model)
    if unlike := of_other_shapes(outputs_of(session, pair[:1]), outputs_of(session, pair)):
        raise OnnxError(f"{called}: {unlike}")
    outputs = outputs_of(session, few)
    try:
        rows = side_by_side(outputs, len(few))
    except ValueError as error:
        wrong = next((name for name, value in outputs.items() if np.shape(value)[:1] != (len(few),)), "")
        return Tried(f"{called}: {error}; {without_rows(model, wrong)}")
    last = {name: node.op_type for name, node in last_nodes(model).items()}
    return Tried(None, chosen(last, leaves_of(outputs), rows, asked), rewritten)


def of_other_shapes(single: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    """Which output's rows have another shape in a batch of two than alone, and what to do; empty for none."""
    for name, alone in single.items():
        if (shapes := [np.shape(alone), np.shape(pair[name])])[0][1:] != shapes[1][1:]:
            return (
                f"its output {name!r} has the shape {[*shapes[0]]} for one and {[*shapes[1]]} for two, and a study "
                f"compares rows of one shape: let it give what is of each example alone, or look at it with {PROGRAM} "
                "check, which says that its rows depend on the batch"
            )
    return ""


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
    if {tensor.name for tensor in inputs} != set(given):
        return f"its inputs are {takes}, and arrays {', '.join(sorted(given))} were given"
    for tensor in inputs:
        kind, shape = given[tensor.name]
        if kind != tensor.dtype or not tensor.takes(shape):
            return f"it takes {tensor}, and these are {kind} [n, {', '.join(map(str, shape))}]"
    return None


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    return open_session(model.SerializeToString(), threads=len(os.sched_getaffinity(0)), quiet=True)


def _failure(model: onnx.ModelProto, pair: NDArray[Any]) -> str | None:
    """What goes wrong with one image or two, and what to do; None where each gets its row."""
    for count in (1, 2):
        wrong = None
        try:
            outputs = outputs_of(_session(model), pair[:count])
            wrong = next((name for name, value in outputs.items() if np.shape(value)[:1] != (count,)), None)
            if wrong is None:
                continue
            why = f"gives {wrong!r} of shape {list(np.shape(outputs[wrong]))} for {count}"
        except Exception as error:  # onnxruntime's exceptions share no public base class
            why = in_words(error)
        if wrong and count == 1:
            return f"{why} image, so a batch is baked in ({_FREE_BATCH}) or it has none: {without_rows(model, wrong)}"
        if axes := where_names_say(model):
            return f"takes no {count} of these images: {why}; by the names of its axes its batch is --batch-axis {axes}"
        if wrong and where_axes_lead(model):
            return f"{why} images, so its batch is elsewhere: {without_rows(model, wrong)}"
        if count == 2:
            return f"takes one image and not two, so its batch of 1 is baked into the graph: {why}; {_FREE_BATCH}"
        return (
            f"loads but cannot run one of these images: {why}; it may take another size, or hold its batch inside: "
            f"{_FREE_BATCH}"
        )
    return None


def _with_copied_batch(model: onnx.ModelProto, pair: NDArray[Any]) -> onnx.ModelProto | None:
    """The graph whose Reshape nodes copy the batch where they held its size; None where that does not cure it.

    Cured: one and two images get their rows, and as many as the size get the bytes that the graph gave them.
    """
    for size in first_axes(model):
        copied = copy.deepcopy(model)
        copy_first_axis(copied, size)
        images = np.resize(pair, (size, *pair.shape[1:]))
        try:
            before, after = (call(_session(graph), images) for graph in (model, copied))
        except Exception:  # another size, or a number elsewhere in the graph
            continue
        if before.tobytes() == after.tobytes() and _failure(copied, pair) is None:
            return copied
    return None


def chosen(operators: Mapping[str, str], leaves: tuple[Leaf, ...], rows: NDArray[Any], asked: str) -> Outcome:
    """The outcome in rows of these outputs: the kind ``asked``, or by shape, last operator in ONNX's words and values.

    Of several outputs the first with one row of values an image, one that is called logits or the like before others,
    else the first. Raises OnnxError where the outputs do not have the kind asked for, or hold nothing.
    """
    leaves = tuple(leaf for leaf in leaves if leaf.stop > leaf.start)
    if not leaves:
        raise OnnxError("its outputs hold no values for these inputs: let it give what is to be compared")
    rows_of_values = [output for output in leaves if _axes(output) == 1 and output.dtype.startswith("float")]
    called = [row for row in rows_of_values if any(word in row.name.lower() for word in _ANSWERS)]
    leaf = (called or rows_of_values or list(leaves))[0]
    last = operators.get(leaf.name, "")
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
    through = last if (kind, last) in _LOOKED_THROUGH and bool(((values >= 0) & (values <= 1)).all()) else ""
    before = f"; margins are taken before its {through}" if through else ""
    told = f"outcome: {kind}{of}{at} ({why}){before}"
    return Outcome(kind, leaf.start, leaf.stop, threshold, leaves, told, through)  # type: ignore[arg-type]


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
    shares = bool((np.abs(values.sum(axis=1) - 1) < _UNIT).all())  # of one whole, as a softmax gives them
    if last == "LpNormalization" or (size > 2 and bool((np.abs(lengths - 1) < _UNIT).all()) and not shares):
        return "embedding", "rows of length 1"
    return "classes", f"the largest of {size} values; --outcome embedding, labels or raw where it is another"


def _axes(leaf: Leaf) -> int:
    return sum(length != 1 for length in leaf.shape)
