"""The network that was named, opened in a variant. Runs in a worker; ``load`` brings the runtimes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isobatch.models.registry import find_variant, load
from isobatch.models.shared.scratch import Scratch
from isobatch.models.spec.artifact_cache import ArtifactCache
from isobatch.models.spec.batches import batch_of
from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.interface import Input
from isobatch.models.spec.outcome import Leaf
from isobatch.models.spec.words import Network, RunnerSettings, VariantSpec, VariantUnavailable
from isobatch.models.weights.model_name import channels_of
from isobatch.pipeline.inputs.arrays import ARRAYS
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.machine.memory import limit_graph
from isobatch.pipeline.prepare.artifacts import artifact_fields
from isobatch.pipeline.prepare.crossing import BuildAsked, NetworkAsked
from isobatch.pipeline.prepare.in_worker import built, checked_onnx
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.tools.check.asked import CheckRequest, Shapes
from isobatch.pipeline.tools.check.examples import random_examples

_CALIBRATION = 8
_FREE = (224, 224)  # the size of pictures, for what takes none
_VALUES = 3 * 224 * 224  # of one example, before its shape is known
_MOST_BESIDE = 1 << 31


@dataclass(frozen=True)
class Opened:
    """A network that can be run."""

    compared: Any  # a ``ComparedNetwork`` of ``user.checks``
    watched: Any  # its runner
    shapes: Shapes  # of one example
    weights: str = ""  # which ones, in words
    view: View = IMAGENET
    notes: tuple[str, ...] = ()  # what the user should know
    inputs: tuple[Input, ...] = ()  # of an ONNX file
    studied: bool = True  # whether a study takes it
    recurrent_axes: str = ""  # where recurrent nodes of an ONNX file take the batch to be


class Unverified(Exception):
    """Nothing can be compared. ``reason`` says why, ``remedy`` what would change that."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class OfStudy:
    """A study's runner with what a comparison asks. ``graph``: of an ONNX file its own runner, not yet entered."""

    def __init__(self, runner: Any, threads: int, graph: Any = None) -> None:
        self.threads = threads
        self._runner = runner
        self._graph = graph
        self._places: tuple[Leaf, ...] = ()

    def fitted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The examples as an ONNX file's inputs take them; any others as they are. Raises TypeError."""
        return rows if self._graph is None else self._graph.fitted(rows)

    def learn(self, pair: NDArray[Any]) -> None:
        """Where each output of an ONNX file stands in a row. Raises TypeError where one has no rows."""
        if self._graph is not None:
            with self._graph as graph:
                graph.learn(pair)
            self._places = graph.places

    def leaves(self, rows: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """The logits, or several outputs by name."""
        outputs = self._runner.run(rows)
        if len(self._places) < 2:
            return {"": outputs}
        return {leaf.name: outputs[:, leaf.start : leaf.stop] for leaf in self._places}


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
    if spec.runtime != "torch" or spec.precision not in ("fp32", "fp16", "bf16"):
        raise VariantUnavailable(
            f"{spec.name} is not made of a network from a factory",
            "choose fp32, fp16 or bf16, or compile-fp32; or export it to ONNX and check the file",
        )
    if spec.compiled and len(asked.shapes) > 1:
        raise VariantUnavailable(f"{spec.name} takes one input", "choose fp32, fp16 or bf16")
    try:
        module = load("isobatch.models.user_factory:made")(name, folder)
        told = load("isobatch.models.user_copy:told_in_training")(name, module)
        module = load("isobatch.models.user_copy:as_measured")(module)
        notes = tuple(filter(None, [told, load("isobatch.models.user_copy:told_observing")(module)]))
        studied = not load("isobatch.models.weights.other_networks:why_no_study")(module)
        channels = load("isobatch.models.user_factory:channels_of")(module) or 3
        shapes, weights = asked.shapes or ((channels, *_FREE),), "as the factory makes them"
        if not asked.shapes and Path(asked.inputs).suffix.lower() not in ARRAYS:
            notes = (*notes, f"shape {'x'.join(map(str, shapes[0]))} assumed: --input-shape says another")
        if spec.compiled:
            making = load("isobatch.models.pytorch.compiled:compiling_runner")
            runner = making(lambda: module, spec.recipe, RunnerSettings(asked.threads))
            return Opened(OfStudy(runner, asked.threads), runner, shapes, weights, notes=notes, studied=studied)
        own = load("isobatch.models.user_types:in_words")(module)
        if spec.precision == "fp32" and own not in ("", "float32"):
            notes = (*notes, f"its parts are {own}: it is compared so, not in float32")
        if spec.precision != "fp32":
            module = load("isobatch.models.user_factory:in_precision")(module, spec.precision)
        runner = load("isobatch.models.user_networks:open_network")(module)
    except Exception as error:
        if type(error).__name__ not in ("FactoryError", "TypeError"):
            raise
        raise UsageError("network", str(error)) from error
    return Opened(runner, runner, shapes, weights, notes=notes, studied=studied)


def _torchvision(asked: CheckRequest, spec: VariantSpec, cache: Path, say: Callable[[str], None]) -> Opened:
    target = asked.target
    if asked.shapes and [len(shape) for shape in asked.shapes] != [3]:
        raise UsageError("input-shape", f"{target.model} takes one input of three dimensions, as 3x224x224")
    try:
        resolved = load("isobatch.models.weights.resolve:resolve")(
            target.weights, target.model, cache, False, say, asked.state_dict
        )
    except ValueError as error:  # WeightsError among them
        raise UsageError("weights" if type(error) is not ValueError else "network", str(error)) from error
    shapes = asked.shapes or ((channels_of(resolved.model), resolved.view.size, resolved.view.size),)
    network = Network(
        resolved.model, str(resolved.path), resolved.sha256, resolved.num_classes, size=(shapes[0][-2], shapes[0][-1])
    )
    weights = f"{resolved.source}: {resolved.note}" if resolved.note else resolved.source
    told = tuple(text for _, text in resolved.warnings)
    if spec.name == "fp32":
        runner = load("isobatch.models.user_networks:open_network")(
            load("isobatch.models.weights.networks:float_network")(network)
        )
        return Opened(runner, runner, shapes, weights, resolved.view, told)
    runner = _built(asked, spec, network, shapes, cache, say)
    return Opened(OfStudy(runner, asked.threads), runner, shapes, weights, resolved.view, told)


def _onnx(asked: CheckRequest, spec: VariantSpec, cache: Path, say: Callable[[str], None]) -> Opened:
    path, axes = Path(asked.target.name), dict(asked.batch_axes)
    if spec.runtime == "torch":
        raise VariantUnavailable(
            f"{spec.name} is made from a torch network, and {path.name} is an ONNX file", "choose ort- or ov- variants"
        )
    beside = sum(file.stat().st_size for file in path.resolve().parent.iterdir() if file.is_file())
    files = min(beside, _MOST_BESIDE)
    limit_graph(files, _VALUES)
    try:
        graph = load("isobatch.models.user_networks:open_network")(path, asked.threads, batch_axes=axes)
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}  # they live beside onnx, which only workers load
        if "OnnxError" not in kinds:
            raise
        if "FixedBatch" in kinds:
            raise Unverified(str(error)) from error
        raise UsageError("onnx", str(error)) from error
    inputs: tuple[Input, ...] = graph.inputs
    shapes = _onnx_shapes(path, inputs, asked.shapes)
    limit_graph(files, _given_at_once(asked, shapes))
    axes_told = "" if axes else graph.recurrent_axes()
    told = Opened(graph, graph, shapes, "of the file", notes=graph.notes, inputs=inputs, recurrent_axes=axes_told)
    if spec.name == "ort-fp32":
        return told
    exported = checked_onnx(NetworkAsked(onnx=str(path), folder=str(Scratch().path), batch_axes=axes))
    size = (shapes[0][-2], shapes[0][-1]) if len(shapes[0]) == 3 else _FREE
    copy, digest = exported.onnx_path, exported.onnx_sha256
    network = Network(exported.model, "", exported.sha256, exported.num_classes or 0, copy, digest, size)
    runner = _built(asked, spec, network, shapes, cache, say, inputs)
    return replace(told, compared=OfStudy(runner, asked.threads, graph), watched=runner)


def _onnx_shapes(path: Path, inputs: Sequence[Input], given: Shapes) -> Shapes:
    """The shapes of one example: those given, or with what is free filled in. Raises UsageError for misfits."""
    if not given:
        return tuple(tensor.example_shape for tensor in inputs)
    if len(given) != len(inputs) or not all(tensor.takes(shape) for tensor, shape in zip(inputs, given, strict=True)):
        takes = " and ".join(map(str, inputs))
        raise UsageError("input-shape", f"--input-shape does not fit {path.name}, which takes {takes}")
    return given


def _built(
    asked: CheckRequest,
    spec: VariantSpec,
    network: Network,
    shapes: Shapes,
    cache: Path,
    say: Callable[[str], None],
    inputs: Sequence[Input] = (),
) -> Any:
    """A runner of the variant, built here or found in the cache; static scales from examples of their own."""
    say(f"building {spec.name}")
    calibration = None
    if spec.calibrated:
        rows = random_examples(shapes, _CALIBRATION, asked.seed + 1, inputs).rows
        if len(inputs) == 1 and not inputs[0].usual:  # all but pictures are records of the inputs by name
            rows = batch_of({inputs[0].name: rows})
        calibration = store_images("calibration", Scratch().path / "calibration.raw", iter(rows))
    fields, kept = artifact_fields(spec, network, calibration), ArtifactCache(cache / "artifacts")
    artifact = built(BuildAsked(spec.name, fields, network, calibration, str(kept.root)), say)
    return open_runner(spec.name, artifact, RunnerSettings(asked.threads), _given_at_once(asked, shapes))


def _given_at_once(asked: CheckRequest, shapes: Shapes) -> int:
    """Values of the largest batch, and of as many images alone beside it."""
    return 2 * max(asked.batch_sizes) * sum(map(math.prod, shapes))
