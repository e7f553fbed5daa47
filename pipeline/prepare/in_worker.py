"""What runs inside a worker: checking weights and ONNX files, asking sizes, building. Called by dotted name."""

from __future__ import annotations

import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest, require_unaltered
from isobatch.models.spec.images import IMAGENET, Images
from isobatch.models.spec.words import Manifest, Network
from isobatch.pipeline.machine.memory import limit_graph, limit_memory
from isobatch.pipeline.storage.files import write_bytes
from isobatch.pipeline.workers.wire import Emit

_MOST_ONNX_BYTES = 1 << 31  # with its external data: more is refused


def resolve_weights(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The weights under study, verified and stored as one safetensors file. See ``models.weights.resolve.resolve``."""
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


def check_onnx(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The user's ONNX file, checked; in the shape of ``resolve_weights``'s answer."""
    path = Path(payload["onnx"])
    beside = path.parent.iterdir() if path.parent.is_dir() else ()  # its weights may lie in files of their own
    limit_memory(resource.RLIMIT_DATA, min(sum(map(_bytes, beside)), _MOST_ONNX_BYTES))
    checked = load("isobatch.models.ort.check_user_file:check_onnx")(path)
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
        "note": "; ".join(["the user's ONNX file; variants of other runtimes cannot be made from it", *checked.notes]),
        "view": asdict(beside.view or IMAGENET),
        "view_from": beside.said if beside.view else f"assumed: ImageNet's{f' ({beside.said})' if beside.said else ''}",
        "view_assumed": beside.view is None,
        "fixed_size": fixed,
    }


def _copied(content: bytes, folder: Path) -> tuple[Path, str]:
    """The checked graph with its weights, and its SHA-256: all is built from this, whatever becomes of the file."""
    path = folder / "checked.onnx"
    return path, write_bytes(path, [content])


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def refused_sizes(payload: dict[str, Any], emit: Emit) -> list[str | None]:
    """For each [height, width] of ``sizes``: why the network takes no images of it, or None where it does."""
    if onnx := payload["onnx"]:
        limit_graph(_bytes(Path(onnx)), 2 * max(height * width for height, width in payload["sizes"]))
        refusal, known = load("isobatch.models.ort.export:refusal"), (payload["onnx_sha256"], payload["model"])
        return [refusal(Path(onnx), height, width, *known) for height, width in payload["sizes"]]
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
        count, _, height, width = request.calibration.shape if request.calibration else (2, 3, *request.network.size)
        limit_graph(_bytes(Path(onnx)), count * height * width)
    artifact = cache.get(payload["fields"], made)
    return {"key": artifact.key, "folder": str(artifact.folder), "manifest": asdict(artifact.manifest)}
