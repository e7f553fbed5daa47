"""``MODEL_CARD.md``: what is in a shipped folder, how to run it, what was verified and where."""

import re
from collections.abc import Mapping, Sequence

from isobatch import PROGRAM
from isobatch.pipeline.deploy.record import RECORD_FILE, SETTINGS_FILE, PictureSteps, Serving, VerificationRecord
from isobatch.pipeline.records.wording import counted, listed, of_inputs, sizes

_COMPILED = (
    "* torch.compile makes code of it when it is loaded, which takes minutes the first time and needs a C++ compiler "
    "(g++, or what CXX names)."
)
_NEEDS = {"torch": "torch, torchvision and numpy", "onnxruntime": "onnxruntime and numpy"}


def _resized(view: PictureSteps) -> str:
    if view.resize_to is not None:
        return f"resized to {view.resize_to[0]} x {view.resize_to[1]}"
    kept = "" if view.forced else ", unless they have the size already"
    return f"the short side resized to {view.short_sides[0]} pixels{kept}"


def _scaled(view: PictureSteps) -> str:
    return "pixel / 255" if view.scale is None else f"pixel x {view.scale:g}"


def _pictures(view: PictureSteps, fed: str) -> str:
    cut = f"{_resized(view)} ({view.interpolation}), the centre of {view.height} x {view.width} cut out"
    order = view.channel_order.upper()
    if fed.endswith("uint8"):
        return f"{cut}, {order}, 0 to 255 as they are"
    return (
        f"{cut}, {order}, ({_scaled(view)} - mean) / std with mean {_numbers(view.mean)} and std {_numbers(view.std)}"
    )


def _taken(serving: Serving) -> list[str]:
    """What the network takes, a line for each array."""
    unverified = "other sizes were not verified"
    if not serving.inputs:
        layout, kind = (serving.fed or "NCHW float32").split()
        first, *rest = serving.shape
        shape = (*rest, first) if layout == "NHWC" else serving.shape
        return [f"* Images: {kind} [n, {_sizes(shape)}]; {unverified}."]
    return [
        f"* Input `{_code(t.name)}`: {t.dtype} [n{', ' if t.shape else ''}{_sizes(t.shape)}]; {unverified}."
        for t in serving.inputs
    ]


def _turned(axes: Mapping[str, int]) -> list[str]:
    return [
        f"* The batch of `{_code(name)}` is the first axis here; in the file that this was made from it is axis {axis}."
        for name, axis in axes.items()
    ]


def _sizes(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def model_card(record: VerificationRecord, facts: Sequence[str]) -> str:
    """The card as Markdown. ``facts``: what a study found out about it, one sentence each."""
    serving = record.serving
    view, many = serving.preprocessing, len(serving.inputs) > 1
    read = (
        "measured on pictures read so"
        if serving.preprocessing_measured
        else ("not measured: the images at hand were no pictures, so check it against your own training")
    )
    packages = record.environment.packages
    named = ("torch", "torchvision") if serving.runtime == "torch" else ("onnxruntime",)
    versions = listed(f"{name} {packages[name]}" for name in named if name in packages)
    threads = listed(counted(count, "thread") for count in record.threads)
    claim = (
        "every image has the same output bytes alone and in a batch"
        if record.batch_invariant
        else ("the outputs of an image depend on its batch; those of each batch size are recorded")
    )
    lines = [
        f"# {_plain(record.model)}, {record.variant}",
        "",
        f"Written by Isobatch {record.tool_version} on {record.created_utc}. It runs without Isobatch.",
        "",
        "## How to run it",
        "",
        "```sh",
        *(["python infer.py picture.jpg"] if view else []),
        f"python infer.py {record.inputs[0].file} --out outputs.np{'z' if many else 'y'}",
        "```",
        "",
        f"* Needs Python 3.11 or newer, {_NEEDS[serving.runtime]}{'; Pillow for pictures' if view else ''}. "
        f"Verified with {versions}.",
        *([_COMPILED] if serving.compiled else []),
        f"* {counted(serving.threads, 'thread')}"
        + (f", on {serving.streams} images at a time, each alone" * (serving.streams > 1))
        + f"; batches of {serving.batch_size} are recommended; calls of more than {serving.largest_batch} images "
        "are split.",
        *(
            ["* Of one row of classes it prints the largest and, in brackets, their values as the network gives them."]
            if serving.outcome == "classes"
            else []
        ),
        *([f"* Pictures: {_pictures(view, serving.fed)} ({read})."] if view else []),
        *_taken(serving),
        *_turned(serving.batch_axes),
        f"* All of this stands in `{SETTINGS_FILE}`.",
        "",
        "## What was verified",
        "",
        f"* At {sizes(record.batch_sizes)}, on {threads}: {claim}. {counted(record.n_comparisons, 'comparison')} with "
        "the images alone, repeated calls included, on "
        f"{listed(_images(stored.name, stored.n, stored.drawn) for stored in record.inputs)}.",
        f"* On {_plain(record.environment.cpu)} ({_plain(record.environment.isa_hardware)}). Another machine or other "
        "library versions may compute other bytes; the command below tells.",
        "* It is evidence for that scope, not a proof beyond it.",
        *(f"* {_plain(fact)}" for fact in facts),
        "",
        "```sh",
        f"{PROGRAM} verify .        # with Isobatch: runs {RECORD_FILE} again on this machine",
        "```",
        "",
        "## Files",
        "",
        *(f"* `{file.file}`: {file.size_bytes:,} bytes, SHA-256 `{file.sha256}`" for file in record.files),
        f"* weights: SHA-256 `{record.weights_sha256}`",
        "",
        "The licence is that of the weights, which this program does not know.",
        "",
    ]
    text = "\n".join(lines)
    return of_inputs(text) if serving.inputs else text


def _images(name: str, n: int, random_images: int) -> str:
    noise = f" ({random_images} of them drawn at random)" if random_images else ""
    return f"{counted(n, 'image')} of {_plain(name)}{noise}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _code(text: str) -> str:
    """Text from outside on one line of a code span."""
    return " ".join(text.replace("`", "'").split())


def _plain(text: str) -> str:
    """Text from outside on one line, without what Markdown takes for markup."""
    return re.sub(r"[\\`*_\[\]<>#|]", lambda match: f"\\{match[0]}", " ".join(text.split()))
