"""What a budget has time for: most valuable first, planned anew from what was really taken."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from isobatch.models.spec.images import Images
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.numbers import duration
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Condition
from isobatch.pipeline.study import budget
from isobatch.pipeline.study.budget import Clock, Fit, Needs, fit
from tests.faulty.studies import report
from tests.in_process import Commands
from tests.models.ort.small_onnx import classifier
from tests.pipeline.inputs.helpers import pictures

NEEDS = Needs(reports_s=8.0, accuracy_s=20.0, race_s=60.0, beside_s=15.0, range_s=15.0, explanation_s=60.0)


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [
        (500.0, Fit(accuracy=True, race_s=60.0, certify=True, explain=True)),
        (150.0, Fit(accuracy=True, race_s=60.0, certify=True, explain=False)),
        (100.0, Fit(accuracy=True, race_s=42.0, certify=True, explain=False)),
        (60.0, Fit(accuracy=True, race_s=10.0, certify=False, explain=False)),
        (40.0, Fit(accuracy=True, race_s=0.0, certify=False, explain=False)),
        (5.0, Fit(accuracy=False, race_s=0.0, certify=False, explain=False)),
    ],
)
def test_what_fits_is_taken_in_the_order_of_its_value(left_s: float, expected: Fit) -> None:
    assert fit(left_s, NEEDS) == expected


def test_a_race_leaves_its_choice_the_time_to_be_verified() -> None:
    for tenths in range(400, 900):
        planned = fit(tenths / 10, Needs(reports_s=1.1, race_s=60.0, beside_s=3.3, range_s=4.7))
        assert planned.certify and planned.race_s > 10


def test_a_race_that_was_not_asked_for_takes_nothing() -> None:
    without = replace(NEEDS, race_s=0.0, beside_s=0.0)
    assert fit(120.0, without) == Fit(accuracy=True, race_s=0.0, certify=True, explain=True)


class _Study:
    """A study of three variants on a clock that is set by hand; each pass is expected to take seconds."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        self.now = 0.0
        monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: self.now))
        images = Images("digits", tmp_path / "images", "0" * 64, (12, 3, 224, 224), np.dtype("float32"))
        prepared: Any = SimpleNamespace(record=SimpleNamespace(name="digits"), evaluation=images)
        progress: Any = SimpleNamespace(line=lambda text: None)
        nothing: Any = None
        names = ("fp32", "ort-fp32", "int8-dynamic")
        asked = Config(names, batch_sizes=(2,), certify=(2, 3), **config)
        self.stages = Stages(asked, nothing, tmp_path, nothing, progress, nothing, sets=(prepared,))
        self.stages.outlook.expect("explanation", 20.0)
        condition = Condition(threads=1, isa="native", memory_format="contiguous", image_size=224)
        passes = (Pass("singles", 1, 0, 150),)
        self.jobs = [Job(name, "digits", condition, turn, passes, "key", "0") for name in names for turn in (0, 1)]
        self.clock = Clock(self.stages, 0.0)

    @property
    def warned(self) -> list[str]:
        return [warning.text for warning in self.stages.warnings]


def test_without_a_budget_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch)
    before = study.stages.config
    assert study.clock.plan(study.jobs) == study.jobs
    study.now = 1e6
    assert not study.clock.too_late("ort-fp32")
    assert study.clock.accuracy_fits(1.0)
    study.clock.plan_explanation(1.0)
    study.clock.plan_race(1.0)
    assert study.stages.config == before and not study.stages.warnings


def test_the_baseline_runs_first_then_the_cheapest_and_what_is_too_dear_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=70.0)
    monkeypatch.setattr(budget, "cost", lambda spec, images, side: {"int8": 9.0}.get(spec.precision, 11.0))
    planned = list(dict.fromkeys(job.variant for job in study.clock.plan(study.jobs)))
    assert planned == ["fp32", "int8-dynamic"]  # 24 and 20 of the 49 seconds that verdicts may take
    assert study.stages.failures["ort-fp32"].status == "unavailable"
    why = study.stages.failures["ort-fp32"].reason
    assert why == (
        "left out: --budget gives 70 s, and 5 of the 49 s that passes may take are left, and its own take about 24 s"
    )


def test_what_has_not_begun_is_left_out_where_the_others_took_longer_than_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=200.0)
    monkeypatch.setattr(budget, "cost", lambda *_: 9.0)
    assert len(study.clock.plan(study.jobs)) == len(study.jobs)
    assert not study.clock.too_late("fp32")
    study.now = 80.0  # four times as long as the 20 s that were planned: another 80 s end behind 140 s
    assert not study.clock.too_late("fp32")  # it has begun
    assert study.clock.too_late("ort-fp32")
    why = study.stages.failures["ort-fp32"].reason
    assert why.startswith("left out: --budget gives 200 s, and 60 s were left for passes when its turn came")


def test_what_is_on_plan_is_kept_however_long_building_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=120.0)
    monkeypatch.setattr(budget, "cost", lambda *_: 8.0)
    study.now = 40.0
    planned = list(dict.fromkeys(job.variant for job in study.clock.plan(study.jobs)))
    assert len(planned) == 3  # 54 of the 56 seconds that verdicts may take
    for variant in planned:
        study.now += 1.0  # comparing what an earlier start has kept
        assert not study.clock.too_late(variant)
        study.now += 16.0


def test_a_thorough_study_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=900.0, thorough=True)
    assert study.clock.plan(study.jobs[::-1]) == study.jobs[::-1]


def test_time_that_was_not_used_is_planned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=60.0)
    study.now = 20.0
    study.clock.plan_explanation(1.0)
    assert study.warned == ["--budget 60 s left no time for origins and repairs"]
    assert study.stages.config.explain == "none"
    study.clock.plan_race(1.0)
    assert study.stages.config.race_s == pytest.approx(40 - 2 - 5 - 1)
    assert study.stages.config.certify and len(study.warned) == 1
    decided: Any = SimpleNamespace(seconds=32.0, waited_s=15.0)
    study.clock.raced(decided)
    assert len(study.warned) == 1  # it was decided before its time was over
    decided.seconds = 47.0
    study.clock.raced(decided)
    assert study.warned[1] == "--budget 60 s left no time for the race beyond 32 s"
    study.now = 50.0
    study.clock.plan_race(1.0)
    assert study.stages.config.race_s == 0 and study.stages.config.certify
    assert study.warned[2:] == ["--budget 60 s left no time for the race"]


def test_a_study_without_time_still_judges_its_baseline(tmp_path: Path, commands: Commands) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(4)))
    asked = ("--onnx", "net.onnx", "--inputs", "pictures", "--image-size", "64", "--batch-sizes", "2,4")
    ended = commands(tmp_path, *asked, "--variants", "ort-int8-dynamic,ort-fp32", "--budget", "0.01s", "--out", "run")
    assert ended.code == 3, ended.stderr
    told = report(tmp_path / "run")
    assert {each["name"]: each["status"] for each in told["variants"]} == {
        "ort-fp32": "measured",
        "ort-int8-dynamic": "unavailable",
    }
    texts = [warning["text"] for warning in told["warnings"] if warning["code"] == "budget"]
    assert "--budget 0.01 s left no time for the race" in texts
    assert told["race"] is None


@pytest.mark.parametrize(("text", "expected"), [("90", 90.0), ("90s", 90.0), ("2m", 120.0), ("1.5h", 5400.0)])
def test_a_time_is_written_with_or_without_its_unit(text: str, expected: float) -> None:
    assert duration("--budget", text) == expected


@pytest.mark.parametrize("text", ["", "m", "0", "-1s", "2 weeks", "nan", "infs", "9999h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        duration("--budget", text)
