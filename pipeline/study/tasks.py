"""Jobs as tasks of the engine: what one worker runs in turn, and what it is told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.pipeline.config.conditions import GridPoint, grid_points
from isobatch.pipeline.evidence.plan import ROUNDS, Job
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.engines import Task
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.study.crossing import JobAsked, JobsAsked
from isobatch.pipeline.study.jobs import decides_cost, warmed

CLIP_IMAGES = 4
"""Of so many images values at the clip limits are counted: thousands of values in every layer."""

_BYTES = {"fp64": 8, "fp16": 2, "bf16": 2}  # of a logit; 4 otherwise
_UNKNOWN_CLASSES = 1000

Together = tuple[Job, ...]
"""Jobs of one variant that one worker runs in turn: the first may be the one whose times become a price."""


def together(stages: Stages, jobs: Iterable[Job]) -> list[Together]:
    """The jobs by what one process can run: all sets of a variant in one setting and round; a part of a set alone."""
    groups: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.variant, GridPoint.of(job.condition), job.round, job.whole and job.id), []).append(job)
    return [tuple(sorted(group, key=lambda job: not decides_cost(stages, job))) for group in groups.values()]


def task_of(stages: Stages, group: Together, files: Mapping[Job, Path], running: list[Job], label: str = "") -> Task:
    """The jobs as a task. ``running``: the first is added there when it starts; progress shows the oldest of them.

    ``label``: what progress calls it, by default the variant and its round.
    """
    job = group[0]
    spec, point = find_variant(job.variant), GridPoint.of(job.condition)
    sets = {prepared.record.name: prepared.evaluation for prepared in stages.sets}
    read = [(sets[this_job.inputs], stages.artifacts[this_job.variant, this_job.inputs]) for this_job in group]
    images_passed = sum(this_job.images_passed for this_job in group)
    per_image = sum(job_cost(this_job) for this_job in group) / images_passed

    def begun() -> None:
        running.append(job)
        stages.most_workers = max(stages.most_workers, len(running))
        stages.progress.step(label or _label(stages, job), 0.0, len(running) - 1)

    def on_event(event: dict[str, Any]) -> None:
        shown = running or [job]  # a cluster tells what a job said when it has ended
        stages.progress.step(label or _label(stages, shown[0]), Told.of(event).images * per_image, len(shown) - 1)

    return Task(
        environment=point.environment,
        function="isobatch.pipeline.study.in_worker:measure",
        payload=lambda: _asked(stages, group, files, sets).to_json(),
        threads=point.threads,
        # a GPU's memory is not shared out as threads are: what runs there runs alone
        alone=point.device != "cpu"
        or (spec.role == "candidate" and decides_cost(stages, job) and not shares_times(stages)),
        reads={
            **{images.path: images.sha256 for images, _ in read},
            **{str(artifact.folder): artifact.key for _, artifact in read},
        },
        writes=tuple(str(files[this_job]) for this_job in group),
        begun=begun,
        on_event=on_event,
    )


def _asked(stages: Stages, group: Together, files: Mapping[Job, Path], sets: Mapping[str, Images]) -> JobsAsked:
    """What ``in_worker.measure`` is asked."""
    spec, point = find_variant(group[0].variant), GridPoint.of(group[0].condition)
    seen = CLIP_IMAGES if not stages.config.thorough else max(len(images) for images in sets.values())
    return JobsAsked(
        variant=spec.name,
        settings=point.runner,
        isa=stages.caps.seen.get(point.isa, {}),
        round=group[0].round,
        clips=seen if spec.calibrated and group[0].round == 0 else 0,
        device=device_facts(stages, group[0]),
        outcome=stages.outcome,
        jobs=tuple(
            JobAsked(
                inputs=job.inputs,
                artifact=stages.artifacts[job.variant, job.inputs],
                images=replace(sets[job.inputs], labels=None),
                passes=tuple(job.in_order),
                timed=warmed(stages, job),
                whole=job.whole,
                file=str(files[job]),
            )
            for job in group
        ),
    )


def _label(stages: Stages, job: Job) -> str:
    where = f", {GridPoint.of(job.condition).words}" if len(grid_points(stages.config)) > 1 else ""
    return f"{job.variant}, round {job.round + 1} of {ROUNDS}{where}"


def shares_times(stages: Stages) -> bool:
    """Whether calls whose times become a price may run beside others: so many workers were asked for, and a race
    decides.
    """
    return bool(stages.config.race_s) and (stages.config.workers or 1) > 1


def job_cost(job: Job) -> float:
    """Rough seconds of one job."""
    return cost(find_variant(job.variant), job.images_passed, job.condition.image_size)


def device_facts(stages: Stages, job: Job) -> Mapping[str, str]:
    """The facts of the device that the job runs on, if it is not the CPU."""
    return {} if job.condition.device == "cpu" else stages.device


class Estimate(NamedTuple):
    """Rough wall seconds on two cores; bytes of evidence if no row differs from its singles, and if every row does."""

    seconds: float
    least_bytes: int
    most_bytes: int


def estimate(jobs: Sequence[Job], num_classes: int | None) -> Estimate:
    """What these jobs would cost, run one after the other. ``num_classes`` None: 1000 are assumed."""
    least = most = 0
    for job in jobs:
        row = _BYTES.get(find_variant(job.variant).precision, 4) * (num_classes or _UNKNOWN_CLASSES)
        least += sum(p.stop - p.start for p in job.passes if p.kind == "singles") * row
        most += sum(len(p.images) for p in job.passes) * (row + 8)
    return Estimate(sum(map(job_cost, jobs)), least, most)
