"""What runs inside a worker: checking weights and ONNX files, asking sizes, building. Called by dotted name."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest, require_unaltered
from isobatch.models.spec.images import IMAGENET
from isobatch.models.spec.plain import to_plain
from isobatch.models.spec.words import Artifact, Manifest, Network, Remark
from isobatch.models.weights.file_kinds import LIST
from isobatch.models.weights.model_name import kind_of
from isobatch.pipeline.inputs.arrays import arrays_beside_labels
from isobatch.pipeline.machine.memory import limit_graph, limit_memory
from isobatch.pipeline.prepare.crossing import (
    BuildAsked,
    ExportAsked,
    NetworkAsked,
    NetworkFound,
    SizesAsked,
    Trial,
    TrialAsked,
)
from isobatch.pipeline.processes.wire import Emit, tell_text
from isobatch.pipeline.storage.files import write_bytes

_MOST_ONNX_BYTES = 1 << 31  # with its external data: more is refused
_OF_A_FILE = "the user's ONNX file: ort- and ov- variants are made from it, torch's cannot be"


def resolve_weights(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The weights of ``NetworkAsked``, verified and stored as one safetensors file: ``NetworkFound``."""
    return resolved(NetworkAsked.of(payload), tell_text(emit)).to_json()


def resolved(asked: NetworkAsked, say: Callable[[str], None], keep: list[Any] | None = None) -> NetworkFound:
    """The weights, resolved in this process."""
    if kind_of(asked.model) != "factory":  # whose memory is the user's own affair
        limit_memory(_weight_bytes(Path(asked.name)))
    weights = load("isobatch.models.weights.resolve:resolve")(
        asked.name, asked.model, Path(asked.cache), asked.offline, say, asked.state_dict, keep
    )
    return NetworkFound.of(to_plain(weights))


def export_own(payload: dict[str, Any], emit: Emit) -> str | None:
    """The ONNX file of a factory's network, as ``ExportAsked`` says; None where the arrays are pictures, on which the
    network is studied as it is. See ``models.ort.export_own``.
    """
    asked = ExportAsked.of(payload)
    arrays = arrays_beside_labels(Path(asked.inputs))
    if len(arrays) == 1 and next(iter(arrays.values())).ndim == 4:
        return None
    say, made = tell_text(emit), list[Any]()
    weights = resolved(asked, say, made)
    network = Network(weights.model, weights.path, weights.sha256, weights.num_classes or 0)
    cut = {name or "input": _as_given(array[:2]) for name, array in arrays.items()}
    cache = ArtifactCache(Path(asked.cache) / "artifacts")
    told = [text for _, text in weights.warnings]
    return str(load("isobatch.models.ort.export_own:exported_own")(network, cut, cache, say, told, made))


def _as_given(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float64 else np.array(array)


def check_onnx(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The user's ONNX file of ``NetworkAsked``, checked: ``NetworkFound``."""
    return checked_onnx(NetworkAsked.of(payload)).to_json()


def checked_onnx(asked: NetworkAsked) -> NetworkFound:
    """The user's ONNX file, checked, in this process."""
    assert asked.onnx is not None
    path = Path(asked.onnx)
    beside = path.parent.iterdir() if path.parent.is_dir() else ()  # its weights may lie in files of their own
    limit_memory(min(sum(map(_bytes, beside)), _MOST_ONNX_BYTES))
    checked = load("isobatch.models.ort.check_user_file:check_onnx")(path, batch_axes=dict(asked.batch_axes))
    copy, copied = _copied(checked.model.SerializeToString(), Path(asked.folder))
    beside = load("isobatch.models.weights.beside:read_beside")(path)
    assumed = f"assumed: ImageNet's{f' ({beside.said})' if beside.said else ''}"
    remarks = load("isobatch.models.ort.training_nodes:training_remarks")(checked.model)
    return NetworkFound(
        source=path.name,
        model=path.name,
        path="",
        onnx_path=str(copy),
        onnx_sha256=copied,
        sha256=checked.sha256,
        num_classes=checked.num_classes,
        note="; ".join([_OF_A_FILE, *checked.notes]),
        view=beside.view or IMAGENET,
        view_from=beside.said if beside.view else assumed,
        view_assumed=beside.view is None,
        fixed_size=(checked.height, checked.width) if checked.height and checked.width else None,
        interface=checked.inputs,
        quantized=load("isobatch.models.ort.graph:quantized_nodes")(checked.model),
        warnings=tuple(Remark("training-mode", f"{path.name}: {remark}") for remark in remarks),
    )


def _copied(content: bytes, folder: Path) -> tuple[Path, str]:
    """The checked graph with its weights, and its SHA-256: all is built from this, whatever becomes of the file."""
    path = folder / "checked.onnx"
    return path, write_bytes(path, [content])


def _weight_bytes(path: Path) -> int:
    """Of a file of weights; of a list of several all that lies beside it."""
    return sum(map(_bytes, path.parent.iterdir())) if path.name.endswith(LIST) else _bytes(path)


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def try_graph(payload: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """A ``Trial`` of the user's graph with each set of ``TrialAsked``. See ``models.ort.trial``.

    Where the graph had to be rewritten, its checked copy is written anew, and ``onnx_sha256`` is that of the new one.
    """
    asked = TrialAsked.of(payload)
    assert asked.network.onnx_path is not None
    path, sha256 = Path(asked.network.onnx_path), asked.network.onnx_sha256
    limit_graph(_bytes(path), 2 * max(images.values for images in asked.images))
    trials = []
    for images in asked.images:
        tried = load("isobatch.models.ort.trial:tried")(path, images, sha256, asked.network.model, asked.outcome)
        if tried.rewritten is not None:
            path, sha256 = _copied(tried.rewritten.SerializeToString(), path.parent)
        trials.append(Trial(tried.refusal, tried.outcome, tried.rewritten is not None))
    return [replace(trial, onnx_sha256=sha256).to_json() for trial in trials]


def try_network(payload: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """A ``Trial`` of what a factory made with each set of ``TrialAsked``."""
    asked = TrialAsked.of(payload)
    tried = load("isobatch.models.user_trial:tried")(asked.network, asked.images, asked.outcome)
    exported = None
    if all(attempt.refusal for attempt in tried) and tried[-1].in_own_types:
        images, cache = asked.images[-1], ArtifactCache(Path(asked.cache) / "artifacts")
        pair = {"images": np.resize(images.read(0, min(len(images), 2)), (2, *images.shape[1:]))}
        exported = str(load("isobatch.models.ort.export_own:exported_own")(asked.network, pair, cache, tell_text(emit)))
    return [Trial(attempt.refusal, attempt.outcome, exported=exported).to_json() for attempt in tried]


def refused_sizes(payload: dict[str, Any], emit: Emit) -> list[str | None]:
    """For each of ``SizesAsked``: why the network takes no images of it, or None where it does."""
    asked = SizesAsked.of(payload)
    refusals: list[str | None] = load("isobatch.models.weights.networks:refusals")(
        asked.model, asked.num_classes, asked.sizes
    )
    return refusals


def build(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Build the artifact of ``BuildAsked``, or find it in the cache. Returns it as ``Artifact``."""
    return built(BuildAsked.of(payload), tell_text(emit)).to_json()


def built(asked: BuildAsked, say: Callable[[str], None]) -> Artifact:
    """The artifact, built in this process or found in the cache."""
    spec, cache = find_variant(asked.variant), ArtifactCache(Path(asked.cache))
    request = BuildRequest(network=asked.network, calibration=asked.calibration, cache=cache, say=say)

    def made(folder: Path) -> Manifest:
        manifest: Manifest = load(spec.build)(spec, request, folder)
        if request.calibration is not None:
            require_unaltered(request.calibration)
        return manifest

    if onnx := request.network.onnx_path:
        images = request.calibration
        limit_graph(_bytes(Path(onnx)), len(images) * images.values if images else 6 * math.prod(request.network.size))
    return cache.get(asked.fields, made)
