"""Reading the user's images, in a worker: a file that crashes or starves its decoder takes nothing else with it."""

from __future__ import annotations

import json
import resource
from functools import partial
from pathlib import Path
from typing import Any

from models.artifact_cache import file_sha256
from models.images import Images, View
from models.registry import load
from pipeline.inputs import InputsRequest, PreparedSet, prepare
from pipeline.inputs.request import Labelled
from pipeline.memory import limit_memory
from pipeline.records import InputSet
from pipeline.stages import Stages
from pipeline.store import read_json, write_json
from pipeline.worker import Emit


def prepare_apart(stages: Stages, request: dict[str, Any]) -> tuple[PreparedSet, ...]:
    """``pipeline.inputs.prepare`` in a worker, for the fields of an ``InputsRequest``, all but ``draw``.

    A run that goes on keeps the images that it began with: they are neither read nor chosen again. Raises WorkerError:
    with the code of the InputError where the images are refused, with none where reading failed.
    """
    file = Path(request["folder"]) / "sets.json"
    every = _stored(file, request) if stages.run.resumed else None
    if every is None:
        every = stages.call("pipeline.untrusted:read_sets", request, "inputs")
        write_json(file, {"request": request, "sets": every})
    return tuple(_set(stages, request, found) for found in every)


def _stored(file: Path, request: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What an earlier start of this run stored for the same request; None where any of it is absent or altered."""
    try:
        stored = read_json(file)
        images = [one[part] for one in stored["sets"] for part in ("evaluation", "calibration") if one[part]]
        same = stored["request"] == json.loads(json.dumps(request))
        intact = same and all(file_sha256(Path(one["path"])) == one["sha256"] for one in images)
    except (OSError, KeyError, TypeError):
        return None
    return stored["sets"] if intact else None


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
        }
        for found in prepare(_limited(request)).sets
    ]


def read_labelled(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """In the worker: store the labelled images of one of the request's sets, which is made again for that."""
    prepared = next(one for one in prepare(_limited(payload["request"])).sets if one.record.name == payload["set"])
    assert prepared.labelled is not None
    found = prepared.labelled()
    return {"images": found.images.to_json(), "skipped": list(found.skipped)}


def _set(stages: Stages, request: dict[str, Any], found: dict[str, Any]) -> PreparedSet:
    record = InputSet(**found["record"])
    return PreparedSet(
        record,
        Images.from_json(found["evaluation"]),
        None if found["calibration"] is None else Images.from_json(found["calibration"]),
        found["calibration_note"],
        found["calibration_remedy"],
        partial(_labelled, stages, request, record.name) if found["has_labelled"] else None,
    )


def _labelled(stages: Stages, request: dict[str, Any], name: str) -> Labelled:
    asked = name if request["asked"] == "auto" else request["asked"]  # the seed set need not be drawn again
    payload = {"request": request | {"asked": asked}, "set": name}
    found = stages.call("pipeline.untrusted:read_labelled", payload, "inputs")
    return Labelled(Images.from_json(found["images"]), tuple(found["skipped"]))


def _limited(request: dict[str, Any]) -> InputsRequest:
    """The request, once this process may use no more memory than decoding needs."""
    limit_memory(resource.RLIMIT_AS)
    names = request["class_names"]
    read = {
        "folder": Path(request["folder"]),
        "class_names": names and tuple(names),
        "view": View.from_json(request["view"]),
    }
    return InputsRequest(**request | read, draw=_draw)


def _draw(path: Path, seed: int, n: int, size: int) -> str:
    """``models.seed_inputs.draw``, which loads torch: only where something is to be drawn."""
    digest: str = load("models.seed_inputs:draw")(path, seed, n, size)
    return digest
