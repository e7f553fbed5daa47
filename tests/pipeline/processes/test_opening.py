"""A user's graph that takes gigabytes, or never ends, has its limit in every worker that runs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES
from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings, VariantUnavailable
from isobatch.pipeline.certify.crossing import RangeAsked
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.race.contestant import LiveContestant, Missed
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.repair.crossing import RepairAsked
from isobatch.pipeline.study.inside.crossing import LookAsked
from tests.models.ort.small_onnx import pixels, request, stored
from tests.models.ort.wild_graphs import endless, greedy
from tests.waiting import ENDS_S

SILENT_S = 2.0
ENDS = [(greedy, "failed to allocate memory for requested buffer of size 12000000000"), (endless, "silent for 2 s")]
IDS = ["greedy", "endless"]
Make = Callable[[Path, int], None]


def wild(folder: Path, make: Make) -> tuple[Artifact, Images]:
    """A graph that is wild from two images on, built, and images for it."""
    make(folder / "wild.onnx", 1)
    spec, made_of = find_variant("ort-fp32"), request(folder, onnx.load_model(folder / "wild.onnx"))
    artifact = made_of.cache.get({"variant": spec.name}, lambda place: load(spec.build)(spec, made_of, place))
    return artifact, stored(folder, pixels(4))


def asked(folder: Path, make: Make) -> dict[str, Any]:
    """What a worker that opens it is told."""
    artifact, images = wild(folder, make)
    return Opening("ort-fp32", RunnerSettings(1), artifact, images, images, None, most=2).to_json()


def why(workers: Workers, function: str, payload: dict[str, Any], make: Make) -> str:
    """Why the worker failed. What is not endless has all the time that a busy machine may need."""
    call = workers.begin({}, function, payload, timeout_s=SILENT_S if make is endless else ENDS_S)
    with pytest.raises(WorkerError) as caught:
        workers.wait([call]).result()
    return caught.value.reason.lower()


@pytest.mark.parametrize("name", ["ort-fp32", "int8-x86", "int8-pt2e", "compile-fp32", "ov-fp32"])
def test_what_runs_on_the_cpu_is_opened_on_no_other_device(name: str, tmp_path: Path) -> None:
    built = Artifact("0" * 64, tmp_path, Manifest({}, 0))
    with pytest.raises(VariantUnavailable, match=rf"{name} runs on cpu only \(use --device cpu\)"):
        open_runner(name, built, RunnerSettings(1, device="cuda"), 1)


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_explained(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    artifact, images = wild(tmp_path, make)
    settings, folder = RunnerSettings(1), str(tmp_path)
    look = LookAsked(
        "ort-fp32", settings, "native", artifact, images, (), (2,), seed=0, repair=False, run_folder=folder
    )
    said = why(launchers, "isobatch.pipeline.study.inside.in_worker:explain_and_repair", look.to_json(), make)
    assert ends in said, said


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_verified_at_every_n(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    opens = Opening.of(asked(tmp_path, make)).to_json()
    payload = RangeAsked(**opens, sizes=(2,), labelled=(), seed=0, seconds=1e6, ties=False).to_json()
    said = why(launchers, "isobatch.pipeline.certify.in_worker:verify_range", payload, make)
    assert ends in said, said


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_raced(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    with LiveContestant(launchers, {}, asked(tmp_path, make)) as contestant:
        contestant.start(limit_s=ENDS_S)
        assert contestant.turn(1, limit_s=ENDS_S).seconds
        with pytest.raises((WorkerError, Missed)) as caught:
            contestant.turn(2, limit_s=SILENT_S if make is endless else ENDS_S)
        said = str(caught.value).lower()
        assert (caught.type is Missed) if make is endless else ends in said, said


@pytest.mark.parametrize(("make", "ends"), ENDS, ids=IDS)
def test_where_it_is_repaired(tmp_path: Path, launchers: Workers, make: Make, ends: str) -> None:
    artifact, images = wild(tmp_path, make)
    folder = str(tmp_path)
    wanted = RepairAsked("ort-fp32", artifact, (images,), (1,), (2,), 0, None, "throughput", folder, folder, CLASSES)
    said = why(launchers, "isobatch.pipeline.repair.in_worker:repair", wanted.to_json(), make)
    assert ends in said, said
