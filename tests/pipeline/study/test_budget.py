"""What a budget has time for: most valuable first, planned anew from what was really taken."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.numbers import duration
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Condition, Policy
from isobatch.pipeline.study import budget
from isobatch.pipeline.study.budget import Clock
from isobatch.pipeline.study.fit import Fit, Needs, what_fits
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
    assert what_fits(left_s, NEEDS) == expected


def test_a_race_leaves_its_choice_the_time_to_be_verified() -> None:
    for tenths in range(400, 900):
        planned = what_fits(tenths / 10, Needs(reports_s=1.1, race_s=60.0, beside_s=3.3, range_s=4.7))
        assert planned.certify and planned.race_s > 10


def test_a_race_that_was_not_asked_for_takes_nothing() -> None:
    without = replace(NEEDS, race_s=0.0, beside_s=0.0)
    assert what_fits(120.0, without) == Fit(accuracy=True, race_s=0.0, certify=True, explain=True)


class _Run:
    """A run's folder, and the time that the run has taken."""

    def __init__(self, folder: Path, spent_s: Callable[[], float]) -> None:
        self._folder, self._spent_s = folder, spent_s

    @property
    def spent_s(self) -> float:
        return self._spent_s()

    def evidence_file(self, variant: str, name: str) -> Path:
        return self._folder / variant / name

    def keep_time(self) -> None:
        pass


class _Study:
    """A study of three variants on a clock that is set by hand; each pass is expected to take seconds."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        self.now = 0.0
        monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: self.now))
        images = Images("digits", tmp_path / "images", "0" * 64, (12, 3, 224, 224), np.dtype("float32"))
        prepared: Any = SimpleNamespace(record=SimpleNamespace(name="digits"), evaluation=images)
        progress: Any = SimpleNamespace(line=lambda text: None)
        nothing: Any = None
        self.run: Any = _Run(tmp_path, lambda: self.now)
        asked = Config(NAMES, batch_sizes=(2,), certify=(2, 3), **config)
        self.stages = Stages(asked, self.run, tmp_path, nothing, progress, nothing, sets=(prepared,))
        condition = Condition(threads=1, isa="native", memory_format="contiguous", image_size=224)
        passes = (Pass("singles", 1, 0, 150),)
        self.jobs = [Job(name, "digits", condition, turn, passes, "key", "0") for name in NAMES for turn in (0, 1)]
        self.clock = Clock(self.stages)
        # what of the stages is due: variants to explain with their seconds of calls, who is raced, what is verified
        self.due: tuple[int, float] = (1, 12.0)
        self.field, self.chosen = [WANTED, WANTED], "fp32"
        monkeypatch.setattr(budget, "explanation_ahead", lambda *_: self.due)
        monkeypatch.setattr(budget, "field", lambda *_: (self.field, []))
        monkeypatch.setattr(budget, "unverified", lambda *_: self.chosen)

    @property
    def warned(self) -> list[str]:
        return [warning.text for warning in self.stages.warnings]

    def pass_all(self, seconds: float) -> list[str]:
        """The variants whose jobs run, each in so many seconds."""
        ran = []
        for job in self.clock.plan(self.jobs):
            if job.variant not in self.stages.failures and not self.clock.too_late([job]):
                ran.append(job.variant)
                self.now += seconds
        return list(dict.fromkeys(ran))


NAMES = ("fp32", "ort-fp32", "int8-dynamic")
POLICY = Policy()
WANTED = SimpleNamespace(seconds=0.1, sizes=(1, 8))  # an image and the N to try, of one that may be raced


def test_without_a_budget_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch)
    before, specs = study.stages.config, [find_variant(name) for name in NAMES]
    assert study.clock.in_order(specs) == specs
    assert study.clock.plan(study.jobs) == study.jobs
    study.now = 1e6
    study.clock.before_building(specs[1])
    assert not study.clock.too_late(study.jobs[2:3])
    assert study.clock.accuracy_fits(1.0)
    study.clock.plan_explanation([], POLICY, 1.0)
    study.clock.plan_race([], POLICY, 1.0)
    assert study.stages.config == before and not study.stages.warnings


def test_what_cannot_be_run_in_time_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=42.0)
    monkeypatch.setattr(budget, "rough_cost", lambda _, spec, __: 5.0 if spec.precision == "int8" else 7.0)
    artifact: Any = None
    built = []
    for spec in study.clock.in_order([find_variant(name) for name in ("bf16", "ort-fp32", "int8-x86", "fp64", "fp32")]):
        try:
            study.clock.before_building(spec)
        except WorkerError as error:
            assert (spec.name, error.kind) == ("ort-fp32", "VariantUnavailable")  # it needs a graph: 8 s more
            assert "34 s were left when it was to be built, too few to run it as well, after 4 others" in error.reason
            continue
        built.append(spec.name)
        study.stages.artifacts[spec.name, "digits"] = artifact
        study.now += 2.0
    assert built == ["fp32", "fp64", "int8-x86", "bf16"]
    assert study.stages.left_out == ["ort-fp32"]


def test_the_baseline_runs_first_then_the_cheapest_and_what_is_too_dear_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=70.0)
    monkeypatch.setattr(budget, "job_cost", lambda job: 9.0 if job.variant == "int8-dynamic" else 11.0)
    assert study.pass_all(12.0) == ["fp32", "int8-dynamic"]  # 48 of the 49 seconds that verdicts may take
    assert study.stages.failures["ort-fp32"].status == "unavailable"
    assert study.stages.left_out == ["ort-fp32"]
    why = study.stages.failures["ort-fp32"].reason
    assert why == (
        "left out: --budget gives 70 s, and 1 s were left for passes when its turn came, and its own take about 26 s"
    )


def test_what_has_not_begun_is_left_out_where_the_others_took_longer_than_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=200.0)
    monkeypatch.setattr(budget, "job_cost", lambda job: 9.0)
    assert study.pass_all(40.0) == ["fp32"]  # four times as long as planned: another 80 s end behind 140 s
    why = study.stages.failures["ort-fp32"].reason
    assert why.startswith("left out: --budget gives 200 s, and 60 s were left for passes when its turn came")


def test_a_small_network_gets_all_its_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=4.0)
    monkeypatch.setattr(budget, "job_cost", lambda job: 0.01)
    assert len(study.pass_all(0.2)) == 3  # though six workers usually take a second each


def test_what_is_on_plan_is_kept_however_long_building_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=120.0)
    monkeypatch.setattr(budget, "job_cost", lambda job: 8.0)
    study.now = 40.0
    assert len(study.pass_all(8.5)) == 3  # 51 of the 56 seconds that verdicts may take


def test_what_an_earlier_start_kept_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=60.0)
    for job in study.jobs[:2] + study.jobs[4:]:
        file = study.run.evidence_file(job.variant, job.file_name)
        file.parent.mkdir(exist_ok=True)
        file.touch()
    study.now = 59.0  # most of it in that start
    planned = study.clock.plan(study.jobs)
    assert [job.variant for job in planned[::2]] == ["fp32", "int8-dynamic", "ort-fp32"]
    assert study.clock.too_late(planned[4:5])
    assert list(study.stages.failures) == ["ort-fp32"]


def test_a_thorough_study_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=900.0, thorough=True)
    assert study.clock.plan(study.jobs[::-1]) == study.jobs[::-1]


def test_time_that_was_not_used_is_planned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=60.0)
    study.now = 20.0
    study.clock.plan_explanation([], POLICY, 1.0)
    assert study.warned == ["--budget 60 s left no time for origins and repairs"]
    assert study.stages.config.explain == "none"
    study.clock.plan_race([], POLICY, 1.0)
    assert study.stages.config.race_s == pytest.approx(40 - 2 - 5 - 1)
    assert study.stages.config.certify and len(study.warned) == 1
    decided: Any = SimpleNamespace(seconds=32.0, waited_s=15.0)
    study.clock.raced([], POLICY, decided)
    assert len(study.warned) == 1  # it was decided before its time was over
    decided.seconds = 47.0
    study.clock.raced([], POLICY, decided)
    assert study.warned[1] == "--budget 60 s left no time for the race beyond 32 s"
    study.now = 50.0
    study.clock.plan_race([], POLICY, 1.0)
    assert study.stages.config.race_s == 0 and study.stages.config.certify
    assert study.warned[2:] == ["--budget 60 s left no time for the race"]
    assert study.stages.left_out == ["explanation", "race"]


def test_a_race_of_quick_rounds_needs_little_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=60.0)
    study.now = 48.0
    study.clock.plan_race([], POLICY, 1.0)
    assert study.stages.config.race_s == 0
    study.stages.config = replace(study.stages.config, race_s=60.0)
    study.field = [SimpleNamespace(seconds=0.001, sizes=(8,))] * 3
    study.clock.plan_race([], POLICY, 1.0)
    assert study.stages.config.race_s == pytest.approx(12 - 2 - 5 - 1)
    study.stages.config, study.now = replace(study.stages.config, race_s=60.0), 20.0
    study.clock.plan_explanation([], POLICY, 1.0)
    assert study.stages.config.explain == "default"  # the race leaves it time


def test_what_nobody_would_have_done_is_not_called_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _Study(tmp_path, monkeypatch, budget_s=60.0)
    study.now, study.due, study.field, study.chosen = 99.0, (0, 0.0), [], ""
    study.clock.plan_explanation([], POLICY, 1.0)
    study.clock.plan_race([], POLICY, 1.0)
    study.clock.raced([], POLICY, None)
    assert study.stages.config.race_s and study.stages.config.explain == "default"
    study.field = [WANTED]  # which no race decides
    study.clock.plan_race([], POLICY, 1.0)
    assert not study.warned and not study.stages.left_out
    study.stages.config = replace(study.stages.config, race_s=60.0, certify=(2, 3))
    study.clock.plan_race([], Policy(max_latency_p99_ms=9.0), 1.0)  # which only calls of a race tell
    study.chosen = "fp32"
    study.clock.raced([], POLICY, None)
    assert study.stages.left_out == ["race", "range"] and len(study.warned) == 2


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
    assert told["left_out"] == ["ort-int8-dynamic", "range"]  # one candidate alone is not raced
    texts = [warning["text"] for warning in told["warnings"] if warning["code"] == "budget"]
    assert texts == ["--budget 0.01 s left no time for verifying the choice over its range"]
    assert told["race"] is None


@pytest.mark.parametrize(("text", "expected"), [("90", 90.0), ("90s", 90.0), ("2m", 120.0), ("1.5h", 5400.0)])
def test_a_time_is_written_with_or_without_its_unit(text: str, expected: float) -> None:
    assert duration("--budget", text) == expected


@pytest.mark.parametrize("text", ["", "m", "0", "-1s", "2 weeks", "nan", "infs", "9999h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        duration("--budget", text)
