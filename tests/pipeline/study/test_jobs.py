"""Which jobs are planned where a cap takes away what a variant's arithmetic needs; whatever this processor has."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.pipeline.config import conditions
from isobatch.pipeline.config.conditions import Caps, GridPoint
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.prepare import state as stages
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Comparison, DecidedBy, InputsVerdict, NotRun, VariantResult
from isobatch.pipeline.study import explain, jobs
from isobatch.pipeline.study.tasks import shared, together

FLAGS = frozenset({"avx2", "avx512f", "avx512_bf16"})
CONFIG = Config(("bf16",), threads=(1,), isa=("native", "avx2"), batch_sizes=(2, 8))
READ = {"torch": "AVX512", "oneDNN": "a", "MKL": "a", "FBGEMM": "a"}


@pytest.fixture(autouse=True)
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (conditions, jobs, stages):
        monkeypatch.setattr(module, "cpu_flags", lambda: FLAGS)
    monkeypatch.setattr(jobs, "probe_caps", lambda *_: Caps({"native": READ, "avx2": READ | {"torch": "AVX2"}}))


def study(tmp_path: Path, config: Config = CONFIG) -> Stages:
    """The stages of a study of 12 images, whose artifact is built."""
    images = Images("digits", tmp_path / "images", "0" * 64, (12, 3, 224, 224), np.dtype("float32"))
    prepared: Any = SimpleNamespace(record=SimpleNamespace(name="digits"), evaluation=images)
    run: Any = None
    found = Stages(config, run, tmp_path, run, run, run, sets=(prepared,))
    found.artifacts["bf16", "digits"] = cast(Any, SimpleNamespace(key="key"))
    return found


def test_under_a_cap_that_emulates_fewer_images_are_planned_and_it_is_said(tmp_path: Path) -> None:
    planned = study(tmp_path)
    jobs_planned = jobs.plan_jobs(planned)
    images = {job.condition.isa: job.passes[0].stop for job in jobs_planned if job.round == 0}
    assert images == {"native": 12, "avx2": 4}
    why = "the cap avx2 hides avx512_bf16"
    left_out = planned.not_run["bf16"]
    assert [contestant.what for contestant in left_out] == [
        "images beyond the first 4 under isa avx2",
        "N = 8 under isa avx2",
    ]
    assert left_out[0].why.startswith(why[:17])
    assert not any(contestant.failed for contestant in left_out)
    assert all(isinstance(contestant, NotRun) for contestant in left_out)


def result(*isas: str) -> VariantResult:
    """bf16, whose outputs depend on the batch under these caps; the first decided."""
    at = [GridPoint(1, isa).at(224) for isa in isas]
    made = [
        Comparison(
            inputs="digits",
            condition=condition,
            kind="batch-vs-singles",
            batch_size=2,
            n_images=4,
            n_images_equal=0,
            bitwise_equal=False,
        )
        for condition in at
    ]
    decided = DecidedBy(inputs="digits", condition=at[0], batch_size=2, why="planted")
    verdict = InputsVerdict(
        inputs="digits",
        verdict="top1-stable",
        decided_by=decided,
        n_images=12,
        n_comparisons=2,
        top1_flips=0,
        top1_flip_upper95=0.2,
    )
    spec = find_variant("bf16")
    return VariantResult(
        name="bf16",
        runtime=spec.runtime,
        precision="bf16",
        status="measured",
        verdict="top1-stable",
        comparisons=made,
        by_inputs=[verdict],
    )


@pytest.mark.parametrize(
    ("isas", "search", "chosen"),
    [
        (("native", "avx2"), "default", "native"),
        (("avx2", "native"), "full", "native"),
        (("avx2",), "default", None),
        (("avx2",), "full", "avx2"),
    ],
)
def test_what_a_cap_emulates_is_explained_under_another_setting(
    tmp_path: Path, isas: tuple[str, ...], search: Any, chosen: str | None
) -> None:
    planned = study(tmp_path, replace(CONFIG, explain=search))
    point = explain._deciding(planned, result(*isas), planned.sets[0])
    assert (point and point.isa) == chosen


def test_one_worker_runs_all_sets_of_a_round_the_priced_one_first(tmp_path: Path) -> None:
    planned = study(tmp_path, Config(("bf16",), threads=(1,), batch_sizes=(2, 8)))
    other: Any = SimpleNamespace(record=SimpleNamespace(name="seed"), evaluation=planned.sets[0].evaluation)
    planned.sets = (other, *planned.sets)
    planned.artifacts["bf16", "seed"] = planned.artifacts["bf16", "digits"]
    groups = together(planned, jobs.plan_jobs(planned))
    assert [[(job.inputs, job.round) for job in group] for group in groups] == [
        [("digits", 0), ("seed", 0)],
        [("digits", 1), ("seed", 1)],
    ]


@pytest.mark.parametrize(
    ("workers", "race_s", "beside"), [(2, 60.0, True), (None, 60.0, False), (1, 60.0, False), (2, 0.0, False)]
)
def test_timed_calls_share_the_machine_only_where_workers_are_asked_for_and_a_race_decides(
    tmp_path: Path, workers: int | None, race_s: float, beside: bool
) -> None:
    assert shared(study(tmp_path, replace(CONFIG, workers=workers, race_s=race_s))) is beside


def test_emulated_arithmetic_gets_one_batch_of_each_size_and_no_copies(tmp_path: Path) -> None:
    first = {job.condition.isa: job.passes for job in jobs.plan_jobs(study(tmp_path)) if job.round == 0}
    assert [(p.kind, p.batch_size) for p in first["avx2"]] == [("singles", 1), ("batched", 2), ("neighbours", 2)]
    assert {"position", "copies"} <= {p.kind for p in first["native"]}


def test_a_quick_study_repeats_one_single_and_a_batch_in_its_second_process(tmp_path: Path) -> None:
    quick = replace(CONFIG, isa=("native",), quick=True)
    repeated = {job.condition.isa: job.passes for job in jobs.plan_jobs(study(tmp_path, quick)) if job.round == 1}
    assert [(p.kind, p.start, p.stop) for p in repeated["native"]] == [("singles", 0, 1), ("batched", 0, 8)]
