"""What runs inside a worker: reading and drawing sets of images. Called by dotted name."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path
from typing import Any

from isobatch.models.registry import load
from isobatch.models.spec.images import View
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs import InputsRequest, prepare
from isobatch.pipeline.inputs.labels_file import read_classes
from isobatch.pipeline.machine.memory import limit_memory
from isobatch.pipeline.workers.wire import Emit


def read_sets(request: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """In the worker: store the sets of the request; what is known of each, as JSON-ready values."""
    return [
        {
            "record": found.record.model_dump(mode="json"),
            "evaluation": found.evaluation.to_json(),
            "calibration": found.calibration and found.calibration.to_json(),
            "calibration_note": found.calibration_note,
            "calibration_remedy": found.calibration_remedy,
            "has_labelled": found.labelled is not None,
            "warnings": found.warnings,
        }
        for found in prepare(_limited(request)).sets
    ]


def read_labelled(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """In the worker: store the labelled images of one of the request's sets, which is made again for that."""
    prepared = next(one for one in prepare(_limited(payload["request"])).sets if one.record.name == payload["set"])
    assert prepared.labelled is not None
    found = prepared.labelled()
    return {"images": found.images.to_json(), "skipped": list(found.skipped)}


def _limited(request: dict[str, Any]) -> InputsRequest:
    """The request, once this process may use no more memory than decoding needs."""
    request = dict(request)
    limit_memory(resource.RLIMIT_DATA)  # an array of any size may be mapped
    names = request["class_names"]
    if classes := request.pop("classes_file", None):
        names = read_classes(Path(classes), request["num_classes"])
    size = request["image_size"]
    read = {
        "image_size": size if isinstance(size, int) else tuple(size),
        "folder": Path(request["folder"]),
        "class_names": names and tuple(names),
        "view": View.from_json(request["view"]),
        "interface": tuple(Input.of(one) for one in request.get("interface") or ()),
    }
    return InputsRequest(**request | read, draw=partial(_draw, channels=request["channels"]))


def _draw(path: Path, seed: int, n: int, size: int, channels: int = 3) -> str:
    """``isobatch.models.pytorch.seed_images.draw``, which loads torch: only where something is to be drawn."""
    digest: str = load("isobatch.models.pytorch.seed_images:draw")(path, seed, n, size, channels)
    return digest
