"""What runs inside a worker: build an artifact, measure its passes, predict labels. Called by dotted name."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.artifact_cache import ArtifactCache
from models.exhausted import out_of_memory
from models.images import IMAGENET, Images, View
from models.registry import find_variant, load
from models.spec import Artifact, BuildRequest, Clocked, Manifest, Network, Quantized, Runner, RunnerSettings
from pipeline.environment import machine
from pipeline.evidence import Evidence, Pass
from pipeline.memory import limit_memory
from pipeline.passes import call, run_passes
from pipeline.store import write_evidence

Emit = Callable[[Any], None]
_CLIP_BATCH = 4


def resolve_weights(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The weights under study, verified and stored as one safetensors file. See ``models.weights.resolve``."""
    limit_memory(resource.RLIMIT_DATA, _bytes(Path(payload["name"])))
    found = load("models.weights:resolve")(
        payload["name"],
        payload["model"],
        Path(payload["cache"]),
        payload["offline"],
        lambda text: emit({"say": text}),
    )
    return asdict(found) | {"path": str(found.path)}


def check_onnx(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The user's ONNX file, checked; in the shape of ``resolve_weights``'s answer."""
    path = Path(payload["onnx"])
    beside = path.parent.iterdir() if path.parent.is_dir() else ()  # its weights may lie in files of their own
    limit_memory(resource.RLIMIT_DATA, sum(map(_bytes, beside)))
    checked = load("models.onnx_check:check_onnx")(path)
    size = checked.height if checked.height and checked.height == checked.width else IMAGENET.size
    return {
        "source": path.name,
        "model": path.name,
        "path": "",
        "sha256": checked.sha256,
        "num_classes": checked.num_classes,
        "class_names": None,
        "note": "; ".join(["the user's ONNX file; variants of other runtimes cannot be made from it", *checked.notes]),
        "view": asdict(View(size, IMAGENET.short_side(size))),
    }


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def refused_sizes(payload: dict[str, Any], emit: Emit) -> list[str | None]:
    """For each [height, width] of ``sizes``: why the network takes no images of it, or None where it does."""
    if onnx := payload["onnx"]:
        return [load("models.onnx_export:refusal")(Path(onnx), height, width) for height, width in payload["sizes"]]
    model, classes = payload["model"], payload["num_classes"]
    return [load("models.networks:refusal")(model, classes, height, width) for height, width in payload["sizes"]]


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
    artifact = cache.get(payload["fields"], lambda folder: load(spec.build)(spec, request, folder))
    return {"key": artifact.key, "folder": str(artifact.folder), "manifest": asdict(artifact.manifest)}


def read_artifact(data: dict[str, Any]) -> Artifact:
    """The artifact from what ``build`` returned."""
    manifest = Manifest(**{**data["manifest"], "notes": tuple(data["manifest"]["notes"])})
    return Artifact(data["key"], Path(data["folder"]), manifest)


def _open(payload: dict[str, Any], artifact: dict[str, Any]) -> Runner:
    spec = find_variant(payload["variant"])
    runner: Runner = load(spec.open)(read_artifact(artifact), RunnerSettings.of(payload["settings"]))
    return runner


def measure(payload: dict[str, Any], emit: Emit) -> None:
    """Run one job and write its evidence.

    Raises OutOfMemory, and RuntimeError where a library does not run with the ISA that was read back for this
    environment.
    """
    try:
        evidence = _evidence(payload, emit)
    except RuntimeError as error:
        if exhausted := out_of_memory(error):
            raise exhausted from error
        raise
    write_evidence(Path(payload["file"]), evidence)


def _evidence(payload: dict[str, Any], emit: Emit) -> Evidence:
    images = Images.from_json(payload["images"])
    passes = tuple(Pass(*fields) for fields in payload["passes"])
    with _open(payload, payload["artifact"]) as runner:
        report = partial(_report, emit)
        ran = run_passes(runner, images, passes, report, timed=payload["timed"])
        device_memory = runner.device_memory() if isinstance(runner, Clocked) else {}
        effective = asdict(runner.effective())
        clips = None
        if payload["clips"] and isinstance(runner, Quantized):
            clips = clip_shares(runner, images, passes[0].start, passes[0].stop)
    _check_isa(payload["isa"])
    return Evidence(
        variant=payload["variant"],
        inputs=payload["inputs"],
        round=payload["round"],
        singles=ran.singles,
        passes=passes,
        rows=ran.rows,
        call_s=ran.call_s,
        warm_up_s=ran.warm_up_s,
        effective=effective,
        clip_shares=clips,
        peak_memory_bytes=peak_memory_bytes(),
        readback=load("models.readback:read")(),
        machine=machine(device=payload["device"]),
        whole=payload["whole"],
        device_memory=device_memory or None,
    )


def _check_isa(expected: dict[str, str]) -> None:
    found = load("models.isa:quick")() if expected else {}
    for library, isa in found.items():
        if isa != expected[library]:
            raise RuntimeError(f"{library} runs with {isa}, and {expected[library]} was asked for: nothing was kept")


def _report(emit: Emit, count: int) -> None:
    emit({"images": count})


def clip_shares(runner: Quantized, images: Images, first: int, last: int) -> dict[str, float]:
    """Per quantized layer the share of activations at a clip limit, over the images ``first`` to ``last``."""
    total: dict[str, float] = {}
    for start in range(first, last, _CLIP_BATCH):
        stop = min(start + _CLIP_BATCH, last)
        for layer, share in runner.clip_shares(images.read(start, stop)).items():
            total[layer] = total.get(layer, 0.0) + share * (stop - start) / (last - first)
    return total


def predict(payload: dict[str, Any], emit: Emit) -> list[int]:
    """The predicted class of every labelled image, ``batch_size`` at a time (the first of equal logits wins)."""
    images = Images.from_json(payload["images"])
    size = payload["batch_size"]
    found: list[int] = []
    with _open(payload, payload["artifact"]) as runner:
        for start in range(0, len(images), size):
            stop = min(start + size, len(images))
            logits, _ = call(runner, images.read(start, stop))
            found.extend(int(i) for i in np.argmax(logits.astype(np.float32), axis=1))
            emit({"images": stop - start})
    return found


def peak_memory_bytes() -> int:
    """The largest resident set of this process so far, libraries included; 0 where the kernel does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
