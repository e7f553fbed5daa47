"""A user's graph that takes gigabytes, or never ends, has its limit in every worker that runs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from isobatch.models.registry import find_variant, load
from isobatch.pipeline.certify.crossing import RangeAsked
from isobatch.pipeline.race.contestant import Contestant, Missed
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.workers.pool import WorkerError, Workers
from isobatch.pipeline.workers.wire import artifact_json
from tests.models.ort.small_onnx import pixels, request, stored
from tests.models.ort.wild_graphs import endless, greedy
from tests.waiting import ENDS_S

SILENT_S = 2.0
ENDS = [(greedy, "failed to allocate memory for requested buffer of size 12000000000"), (endless, "silent for 2 s")]
IDS = ["greedy", "endless"]
Make = Callable[[Path, int], None]


def asked(folder: Path, make: Make) -> dict[str, Any]:
    """What a worker is told of a graph that is wild from two images on."""
    make(folder / "wild.onnx", 1)
    spec, made_of = find_variant("ort-fp32"), request(folder, onnx.load_model(folder / "wild.onnx"))
    artifact = made_of.cache.get({"variant": spec.name}, lambda place: load(spec.build)(spec, made_of, place))
    images = stored(folder, pixels(4)).to_json()
    opens = Opening("ort-fp32", {"threads": 1}, artifact_json(artifact), images, images, None, most=2)
    return opens.to_json()


def why(workers: Workers, function: str, payload: dict[str, Any], make: Make) -> str:
    """Why the worker failed. What is not endless has all the time that a busy machine may need."""
    call = workers.begin({}, function, payload, timeout_s=SILENT_S if make is endless else ENDS_S)
    with pytest.raises(WorkerError) as caught:
        workers.wait([call]).result()
    return caught.value.reason.lower()


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_explained(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    more = {"batch_sizes": [2], "explain": "default", "also": [], "seed": 0, "run_folder": str(tmp_path)}
    payload = asked(tmp_path, make) | more | {"beyond": False, "repair": False}
    said = why(launchers, "isobatch.pipeline.study.inside.in_worker:explain_and_repair", payload, make)
    assert ends in said, said


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_verified_at_every_n(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    opens = Opening.of(asked(tmp_path, make)).to_json()
    payload = RangeAsked(**opens, sizes=(2,), labelled=(), seed=0, seconds=1e6, ties=False).to_json()
    said = why(launchers, "isobatch.pipeline.certify.in_worker:verify_range", payload, make)
    assert ends in said, said


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_raced(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    with Contestant(launchers, {}, asked(tmp_path, make)) as contestant:
        contestant.start(limit_s=ENDS_S)
        assert contestant.turn(1, limit_s=ENDS_S).seconds
        with pytest.raises((WorkerError, Missed)) as caught:
            contestant.turn(2, limit_s=SILENT_S if make is endless else ENDS_S)
        said = str(caught.value).lower()
        assert (caught.type is Missed) if make is endless else ends in said, said


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_repaired(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    opens = asked(tmp_path, make)
    more = {"sets": [opens["images"]], "threads": [1], "batch_sizes": [2], "rung": None, "objective": "throughput"}
    payload = opens | more | {"seed": 0, "folder": str(tmp_path), "native": str(tmp_path)}
    said = why(launchers, "isobatch.pipeline.repair.in_worker:repair", payload, make)
    assert ends in said, said
