"""The weights under study: verified, stored and recorded."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from isobatch.models.spec.artifact_cache import ArtifactCache, file_sha256
from isobatch.models.spec.images import sides
from isobatch.models.spec.words import Network
from isobatch.models.weights.model_name import kind_of
from isobatch.pipeline.config.variants import variants_of
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.preprocessing import chosen_view
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Weights
from isobatch.pipeline.storage.files import read_json, write_json
from isobatch.pipeline.workers.pool import WorkerError


def prepare_weights(stages: Stages) -> dict[str, Any]:
    """Resolve and verify the weights, or the user's ONNX file. Raises UsageError.

    A run that goes on keeps the weights that it began with, if their file is what it was.
    """
    config = stages.config
    payload = {
        "name": config.weights,
        "model": config.model,
        "onnx": config.onnx,
        "cache": str(stages.cache),
        "offline": config.offline,
        "state_dict": config.state_dict,
        "batch_axes": dict(config.batch_axes),
    }
    folder = stages.run.folder / "inputs"
    kept = folder / "weights.json"
    found = _stored(kept, payload) if stages.run.resumed else None
    if found is None:
        found = _resolve(stages, payload, folder)
        # an ONNX file may lie in several, and a factory's code too: they are checked each time
        if not config.onnx and kind_of(found["model"]) != "factory":
            write_json(kept, {"asked": payload, "found": found, "files": _digests(config.weights, found["path"])})
    facts = {name: found[name] for name in ("source", "model", "sha256", "note", "num_classes")}
    view, size, record = chosen_view(config, found)
    found = found | {"chosen_view": asdict(view), "image_size": size}
    stages.weights = Weights(**facts, preprocessing=record)
    stages.network = Network(
        model=found["model"],
        weights_path=found["path"],
        weights_sha256=found["sha256"],
        num_classes=found["num_classes"] or 0,
        onnx_path=found.get("onnx_path"),
        onnx_sha256=found.get("onnx_sha256"),
        size=sides(found.get("fixed_size") or size),
    )
    stages.progress.line(
        f"weights: {found['source']}: {found['note']}" if found["note"] else f"weights: {found['source']}"
    )
    for code, text in found.get("warnings", ()):
        stages.warn(code, text)
    if found.get("quantized"):
        _as_given(stages)
    if config.onnx and kind_of(config.model) == "factory":
        stages.warn(
            "exported-for-arrays",
            f"{config.model} is studied on arrays, so as the ONNX file that was exported from it; its torch variants: "
            f"isobatch check {config.model} --inputs {config.inputs}",
        )
        for text in ArtifactCache.notes(Path(config.onnx).parent):
            stages.warn("training-mode", text)
    return found


def _as_given(stages: Stages) -> None:
    """Of a file that is quantized already, all there is to measure is the file, where nothing else was named."""
    if stages.config.variants != variants_of("all", onnx=True):
        return
    (left, *others) = (name for name in stages.config.variants if name != baseline(stages.config))
    stages.warn(
        "as-given",
        f"the file is quantized already and runs as {baseline(stages.config)}, int8 as given: {left}"
        f"{''.join(f', {name}' for name in others)} are made from a float32 file and are left out; give that file with "
        "--onnx to measure them",
    )
    stages.config = replace(stages.config, variants=(baseline(stages.config),))


def _resolve(stages: Stages, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    call = (
        "isobatch.pipeline.prepare.in_worker:check_onnx"
        if payload["onnx"]
        else "isobatch.pipeline.prepare.in_worker:resolve_weights"
    )
    try:
        found: dict[str, Any] = stages.call(call, payload | {"folder": str(folder)}, "weights")
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        what = payload["onnx"] or payload["name"]
        text = error.reason if error.kind not in ("timeout", "crash", "MemoryError") else f"{what}: {error.reason}"
        raise UsageError(error.code or ("onnx" if payload["onnx"] else "weights"), text) from error
    return found


def _digests(*paths: str) -> dict[str, str]:
    """The SHA-256 of those that are files; a keyword is none."""
    return {path: file_sha256(Path(path)) for path in paths if Path(path).is_file()}


def _stored(file: Path, payload: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier start of this run resolved for the same request; None where any file of it is another now."""
    try:
        stored = read_json(file)
        found: dict[str, Any] = stored["found"]
        same = stored["asked"] == payload and stored["files"] == _digests(payload["name"], found["path"])
    except (OSError, KeyError, TypeError):
        return None
    return found if same and found["path"] in stored["files"] else None
