"""The network that was named, opened in a variant. Runs in a worker; ``load`` brings the runtimes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import ArtifactCache
from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.words import Network, RunnerSettings, VariantSpec, VariantUnavailable
from isobatch.models.weights.model_name import channels_of
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.machine.memory import limit_graph
from isobatch.pipeline.prepare.artifacts import artifact_fields
from isobatch.pipeline.prepare.in_worker import build, check_onnx
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.tools.check.asked import CheckRequest, Shapes
from isobatch.pipeline.tools.check.examples import drawn
from isobatch.pipeline.workers.wire import read_artifact

_CALIBRATION = 8
_FREE = (224, 224)  # of an ONNX file's height and width, where they are free
_ANY = ((3, 224, 224),)
_MOST_BESIDE = 1 << 31


@dataclass(frozen=True)
class Opened:
    """A network that can be run. ``compared``: as ``isobatch.pipeline.user.checks.Network``; ``watched``: its runner.

    ``shapes``: of one example. ``weights``: which ones, in words. ``notes``: what the user should know.
    """

    compared: Any
    watched: Any
    shapes: Shapes
    weights: str = ""
    view: View = IMAGENET
    notes: tuple[str, ...] = ()


class Unverified(Exception):
    """Nothing can be compared. ``reason`` says why, ``remedy`` what would change that."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class OfStudy:
    """A study's runner with what a comparison asks: logits only."""

    def __init__(self, runner: Any, threads: int) -> None:
        self.threads = threads
        self._runner = runner

    def learn(self, pair: NDArray[Any]) -> None:
        """Nothing: its rows are known."""

    def leaves(self, rows: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """The logits."""
        return {"": self._runner.run(rows)}


def opened(asked: CheckRequest, variant: str, cache: Path, folder: str, say: Callable[[str], None]) -> Opened:
    """The network in this variant; enter ``watched`` to run it.

    Raises UsageError where the network cannot be had, VariantUnavailable where the variant cannot be made of it,
    Unverified where it has no batch axis.
    """
    spec = find_variant(variant)
    if asked.target.kind == "factory":
        return _factory(asked, spec, folder)
    if asked.target.kind == "onnx":
        return _onnx(asked, spec, cache, say)
    return _torchvision(asked, spec, cache, say)


def _factory(asked: CheckRequest, spec: VariantSpec, folder: str) -> Opened:
    name = asked.target.name
    if spec.runtime != "torch" or spec.compiled or spec.precision not in ("fp32", "fp16", "bf16"):
        raise VariantUnavailable(
            f"{spec.name} is not made of a network from a factory",
            "choose fp32, fp16 or bf16; or export it to ONNX and check the file",
        )
    try:
        module = load("isobatch.models.user_factory:made")(name, folder)
        notes = []
        if training := load("isobatch.models.user_copy:in_training")(module):
            notes.append(f"in training mode ({', '.join(training[:3])}): call .eval() in the factory")
        if spec.precision != "fp32":
            module = load("isobatch.models.user_factory:in_precision")(module, spec.precision)
        runner = load("isobatch.models.user_networks:open_network")(module)
    except Exception as error:
        if type(error).__name__ not in ("FactoryError", "TypeError"):
            raise
        raise UsageError("network", str(error)) from error
    return Opened(runner, runner, asked.shapes or _ANY, "as the factory makes them", notes=tuple(notes))


def _torchvision(asked: CheckRequest, spec: VariantSpec, cache: Path, say: Callable[[str], None]) -> Opened:
    target = asked.target
    if spec.runtime != "torch" and asked.shapes and len(asked.shapes[0]) != 3:
        raise UsageError("input-shape", f"{target.model} takes one input of three dimensions, as 3x224x224")
    try:
        found = load("isobatch.models.weights.resolve:resolve")(target.weights, target.model, cache, False, say)
    except ValueError as error:  # WeightsError among them
        raise UsageError("weights" if type(error) is not ValueError else "network", str(error)) from error
    shapes = asked.shapes or ((channels_of(found.model), found.view.size, found.view.size),)
    network = Network(
        found.model, str(found.path), found.sha256, found.num_classes, size=(shapes[0][-2], shapes[0][-1])
    )
    weights = f"{found.source}: {found.note.partition('; ImageNet weights')[0]}" if found.note else found.source
    if spec.name == "fp32":
        runner = load("isobatch.models.user_networks:open_network")(
            load("isobatch.models.weights.networks:float_network")(network)
        )
        return Opened(runner, runner, shapes, weights, found.view, tuple(text for _, text in found.warnings))
    runner = _built(asked, spec, network, shapes, cache, say)
    return Opened(OfStudy(runner, asked.threads), runner, shapes, weights, found.view)


def _onnx(asked: CheckRequest, spec: VariantSpec, cache: Path, say: Callable[[str], None]) -> Opened:
    path = Path(asked.target.name)
    if spec.runtime == "torch":
        raise VariantUnavailable(
            f"{spec.name} is made from a torch network, and {path.name} is an ONNX file", "choose ort- or ov- variants"
        )
    shapes = _onnx_shapes(path, asked.shapes)
    pixels = max(asked.batch_sizes) * sum(int(np.prod(shape[-2:])) for shape in shapes)
    beside = sum(one.stat().st_size for one in path.resolve().parent.iterdir() if one.is_file())
    limit_graph(min(beside, _MOST_BESIDE), 2 * pixels)
    try:
        if spec.name == "ort-fp32":
            runner = load("isobatch.models.user_networks:open_network")(path, asked.threads)
            return Opened(runner, runner, shapes, "of the file")
        found = check_onnx({"onnx": str(path), "folder": tempfile.mkdtemp()}, lambda event: None)
    except Exception as error:
        if type(error).__name__ != "OnnxError":
            raise
        raise UsageError("onnx", str(error)) from error
    copy, digest = found["onnx_path"], found["onnx_sha256"]
    network = Network(
        found["model"], "", found["sha256"], found["num_classes"] or 0, copy, digest, (shapes[0][-2], shapes[0][-1])
    )
    runner = _built(asked, spec, network, shapes, cache, say)
    return Opened(OfStudy(runner, asked.threads), runner, shapes, "of the file")


def _onnx_shapes(path: Path, given: Shapes) -> Shapes:
    """The shapes of one example, free sizes filled. Raises UsageError, or Unverified for a fixed batch axis."""
    try:
        inputs: Mapping[str, Sequence[int | None]] = load("isobatch.models.user_shapes:input_shapes")(path)
    except ValueError as error:
        raise UsageError("onnx", str(error)) from error
    for name, dims in inputs.items():
        if not dims or dims[0]:
            what = f"is fixed at {dims[0]}" if dims else "is not there"
            remedy = "export it again with a free batch axis: torch.onnx.export(..., dynamic_shapes=({0: 'n'},))"
            raise Unverified(f"the batch axis of {name!r} {what}, so no two batch sizes can be compared", remedy)
    if given:
        fits = len(given) == len(inputs) and all(
            len(shape) == len(dims) - 1 and all(dim in (None, size) for size, dim in zip(shape, dims[1:], strict=True))
            for shape, dims in zip(given, inputs.values(), strict=True)
        )
        if not fits:
            raise UsageError("input-shape", f"--input-shape does not fit {path.name}, which takes {_told(inputs)}")
        return given
    found = []
    for dims in inputs.values():
        sizes = list(dims[1:])
        if len(sizes) == 3:
            sizes[1:] = [size or free for size, free in zip(sizes[1:], _FREE, strict=True)]
        if None in sizes:
            text = f"{path.name} takes {_told(inputs)}: give the sizes that it leaves free, --input-shape 3x224x224"
            raise UsageError("input-shape", text)
        found.append(tuple(size for size in sizes if size))
    return tuple(found)


def _told(inputs: Mapping[str, Sequence[int | None]]) -> str:
    return " and ".join(
        f"{name} [{', '.join(['n', *(str(dim or 'free') for dim in dims[1:])])}]" for name, dims in inputs.items()
    )


def _built(
    asked: CheckRequest, spec: VariantSpec, network: Network, shapes: Shapes, cache: Path, say: Callable[[str], None]
) -> Any:
    """A runner of the variant, built here or found in the cache; static scales from examples of their own."""
    say(f"building {spec.name}")
    calibration = None
    if spec.calibrated:
        rows = drawn(shapes, _CALIBRATION, asked.seed + 1).rows
        calibration = store_images("calibration", Path(tempfile.mkdtemp()) / "calibration.f32", iter(rows))
    payload = {
        "variant": spec.name,
        "fields": artifact_fields(spec, network, calibration),
        "network": asdict(network),
        "calibration": calibration and calibration.to_json(),
        "cache": str(ArtifactCache(cache / "artifacts").root),
    }
    artifact = read_artifact(build(payload, lambda event: say(event.get("say", ""))))
    return load(spec.open)(artifact, RunnerSettings(asked.threads))
