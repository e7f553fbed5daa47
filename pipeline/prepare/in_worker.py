"""What runs inside a worker: checking weights and ONNX files, asking sizes, building. Called by dotted name."""

from __future__ import annotations

import math
import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest, require_unaltered
from isobatch.models.spec.images import IMAGENET, Images
from isobatch.models.spec.words import Manifest, Network
from isobatch.models.weights.model_name import kind_of
from isobatch.pipeline.inputs.arrays import arrays_beside_labels
from isobatch.pipeline.machine.memory import limit_graph, limit_memory
from isobatch.pipeline.storage.files import write_bytes
from isobatch.pipeline.workers.wire import Emit

_MOST_ONNX_BYTES = 1 << 31  # with its external data: more is refused
_OF_A_FILE = "the user's ONNX file: ort- and ov- variants are made from it, torch's cannot be"


def resolve_weights(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The weights under study, verified and stored as one safetensors file. See ``models.weights.resolve.resolve``."""
    if kind_of(payload["model"]) != "factory":  # whose memory is the user's own affair
        limit_memory(resource.RLIMIT_DATA, _bytes(Path(payload["name"])))
    found = load("isobatch.models.weights.resolve:resolve")(
        payload["name"],
        payload["model"],
        Path(payload["cache"]),
        payload["offline"],
        lambda text: emit({"say": text}),
        payload["state_dict"],
    )
    return asdict(found) | {"path": str(found.path)}


def export_own(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The ONNX file of a factory's network on these ``inputs``; ``onnx`` is None where they are one array of pictures.

    See ``isobatch.models.ort.export_own``.
    """
    arrays = arrays_beside_labels(Path(payload["inputs"]))
    if len(arrays) == 1 and next(iter(arrays.values())).ndim == 4:
        return {"onnx": None}
    found = resolve_weights(payload, emit)
    network = Network(found["model"], found["path"], found["sha256"], found["num_classes"] or 0)
    cut = {name or "input": _as_given(array[:2]) for name, array in arrays.items()}
    cache = ArtifactCache(Path(payload["cache"]) / "artifacts")
    path = load("isobatch.models.ort.export_own:exported_own")(
        network, cut, cache, lambda text: emit({"say": text}), [text for _, text in found["warnings"]]
    )
    return {"onnx": str(path)}


def _as_given(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float64 else np.array(array)


def check_onnx(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The user's ONNX file, checked; in the shape of ``resolve_weights``'s answer."""
    path = Path(payload["onnx"])
    beside = path.parent.iterdir() if path.parent.is_dir() else ()  # its weights may lie in files of their own
    limit_memory(resource.RLIMIT_DATA, min(sum(map(_bytes, beside)), _MOST_ONNX_BYTES))
    axes = payload.get("batch_axes") or {}
    checked = load("isobatch.models.ort.check_user_file:check_onnx")(path, batch_axes=axes)
    copy, copied = _copied(checked.model.SerializeToString(), Path(payload["folder"]))
    beside = load("isobatch.models.weights.beside:read_beside")(path)
    fixed = [checked.height, checked.width] if checked.height and checked.width else None
    return {
        "source": path.name,
        "model": path.name,
        "path": "",
        "onnx_path": str(copy),
        "onnx_sha256": copied,
        "sha256": checked.sha256,
        "num_classes": checked.num_classes,
        "class_names": None,
        "note": "; ".join([_OF_A_FILE, *checked.notes]),
        "view": asdict(beside.view or IMAGENET),
        "view_from": beside.said if beside.view else f"assumed: ImageNet's{f' ({beside.said})' if beside.said else ''}",
        "view_assumed": beside.view is None,
        "fixed_size": fixed,
        "interface": [asdict(one) for one in checked.inputs],
        "quantized": load("isobatch.models.ort.graph:quantized_nodes")(checked.model),
        "warnings": [
            ("training-mode", f"{path.name}: {remark}")
            for remark in load("isobatch.models.ort.training_nodes:training_remarks")(checked.model)
        ],
    }


def _copied(content: bytes, folder: Path) -> tuple[Path, str]:
    """The checked graph with its weights, and its SHA-256: all is built from this, whatever becomes of the file."""
    path = folder / "checked.onnx"
    return path, write_bytes(path, [content])


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def try_graph(payload: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """For each set of ``images``: why the user's graph takes none of it, or None, and its outcome. See ``trial``.

    Where the graph had to be rewritten, its checked copy is written anew, and ``onnx_sha256`` is that of the new one.
    """
    path, sha256 = Path(payload["onnx"]), payload["onnx_sha256"]
    sets = [Images.from_json(one) for one in payload["images"]]
    limit_graph(_bytes(path), 2 * max(one.values for one in sets))
    answers = []
    for images in sets:
        tried = load("isobatch.models.ort.trial:tried")(path, images, sha256, payload["model"], payload["outcome"])
        if tried.rewritten is not None:
            path, sha256 = _copied(tried.rewritten.SerializeToString(), path.parent)
        outcome = None if tried.outcome is None else tried.outcome.to_json()
        answers.append({"refusal": tried.refusal, "outcome": outcome, "rewritten": tried.rewritten is not None})
    return [one | {"onnx_sha256": sha256} for one in answers]


def try_network(payload: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """For each set of ``images``: why what a factory made takes none of it, or None, and its outcome."""
    network = Network(**payload["network"] | {"size": tuple(payload["network"]["size"])})
    found = []
    for one in payload["images"]:
        tried = load("isobatch.models.user_trial:tried")(network, Images.from_json(one), payload["outcome"])
        found.append({"refusal": tried.refusal, "outcome": tried.outcome and tried.outcome.to_json()})
    return found


def refused_sizes(payload: dict[str, Any], emit: Emit) -> list[str | None]:
    """For each [height, width] of ``sizes``: why the network takes no images of it, or None where it does."""
    model, classes = payload["model"], payload["num_classes"]
    return [
        load("isobatch.models.weights.networks:refusal")(model, classes, height, width)
        for height, width in payload["sizes"]
    ]


def build(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Build one variant's artifact, or find it in the cache. Returns its key, folder and manifest."""
    spec = find_variant(payload["variant"])
    cache = ArtifactCache(Path(payload["cache"]))
    calibration = payload["calibration"]
    request = BuildRequest(
        network=Network(**payload["network"] | {"size": tuple(payload["network"]["size"])}),
        calibration=None if calibration is None else Images.from_json(calibration),
        cache=cache,
        say=lambda text: emit({"say": text}),
    )

    def made(folder: Path) -> Manifest:
        manifest: Manifest = load(spec.build)(spec, request, folder)
        if request.calibration is not None:
            require_unaltered(request.calibration)
        return manifest

    if onnx := request.network.onnx_path:
        images = request.calibration
        limit_graph(_bytes(Path(onnx)), len(images) * images.values if images else 6 * math.prod(request.network.size))
    artifact = cache.get(payload["fields"], made)
    return {"key": artifact.key, "folder": str(artifact.folder), "manifest": asdict(artifact.manifest)}
