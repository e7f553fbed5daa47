"""The evidence jobs of a study: what is run of each variant, on which images, and which of it is timed."""

from collections.abc import Sequence
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.config.conditions import GridPoint, device_of, grid_points, why_not
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.evidence.by_value import first_round, second_round
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.parts import cut
from isobatch.pipeline.evidence.plan import ROUNDS, Job, in_turn, plan_passes
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.emulation import emulated, measured_images, why_emulated
from isobatch.pipeline.machine.environment import cpu_flags
from isobatch.pipeline.machine.isa_caps import NATIVE, flags_under
from isobatch.pipeline.prepare.device import probe_caps
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages


def plan_jobs(stages: Stages) -> list[Job]:
    """The evidence jobs, in the order in which one worker alone would run them.

    What is not run (N above the set's size, too few images where arithmetic is emulated, a condition that cannot act
    on a variant) is recorded with its reason.
    """
    jobs = []
    stages.caps = probe_caps(stages.config, stages.workers)
    specs = [spec for spec in stages.specs if spec.role == "candidate"]
    for spec in specs:
        if stages.config.device not in spec.devices:
            why = f"its kernels run on the CPU only: every figure of {spec.name} is the CPU's"
            stages.skip(spec.name, "all", f"device {stages.config.device}", why)
    ran: dict[str, list[GridPoint]] = {}  # by variant
    for point in grid_points(stages.config):
        there = [spec for spec in specs if device_of(stages.config, spec) == point.device]
        reasons = {spec.name: why_not(spec, point, stages.config, stages.caps) for spec in there}
        for name, reason in reasons.items():
            if reason:
                stages.skip(name, "all", *reason)
        able = [spec.name for spec in there if reasons[spec.name] is None]
        for turn, name in in_turn(able, stages.config.thorough):
            ran.setdefault(name, []).append(point)
            for prepared in _sets(stages, name):
                jobs += _jobs(stages, find_variant(name), prepared, point, turn)
    for spec in specs:
        for prepared in _sets(stages, spec.name):
            _note_left_out(stages, spec, prepared, ran.get(spec.name, []))
    return jobs


def _sets(stages: Stages, variant: str) -> list[PreparedSet]:
    """The sets that a variant can be run on."""
    return [prepared for prepared in stages.sets if (variant, prepared.record.name) in stages.artifacts]


def _jobs(stages: Stages, spec: VariantSpec, prepared: PreparedSet, point: GridPoint, turn: int) -> list[Job]:
    config, name = stages.config, prepared.record.name
    count = measured_images(spec, prepared.evaluation, _flags(point))
    # on the last set, and not where nobody would deploy what is timed
    timed = name == _sets(stages, spec.name)[-1].record.name and not stages.emulated(spec)
    sparing = stages.emulated_under(spec, point)
    whole = Job(
        variant=spec.name,
        inputs=name,
        condition=point.at(prepared.evaluation.side),
        round=turn,
        passes=_passes(config, count, turn, timed=timed, sparing=sparing),
        artifact_key=stages.artifacts[spec.name, name].key,
        inputs_sha256=prepared.evaluation.seen_sha256,
    )
    return whole.cut(cut(count, config.batch_sizes))


def _passes(config: Config, count: int, turn: int, *, timed: bool, sparing: bool) -> tuple[Pass, ...]:
    probes: dict[str, Any] = {"timed": timed, "rotations": config.position, "neighbours": config.neighbours}
    if config.thorough:
        return plan_passes(count, config.batch_sizes, probes=turn == 0, **probes)
    if turn:
        return second_round(count, config.batch_sizes, sparing=sparing or config.quick)
    return first_round(count, config.batch_sizes, sparing=sparing, **probes)


def _flags(point: GridPoint) -> frozenset[str] | None:
    """The features of the processor under a setting; None where it is not the processor that computes."""
    return flags_under(point.isa, cpu_flags()) if point.device == "cpu" else None


def rough_cost(stages: Stages, spec: VariantSpec, job_s: float) -> float:
    """Rough seconds of a variant's passes before it is built: which caps act on it is not known yet.

    ``job_s``: seconds of a job beside them.
    """
    points = sum(point.device == device_of(stages.config, spec) for point in grid_points(stages.config))
    seconds = 0.0
    for prepared in stages.sets:
        count = measured_images(spec, prepared.evaluation, cpu_flags())
        rounds = [_passes(stages.config, count, turn, timed=False, sparing=False) for turn in range(ROUNDS)]
        if spec.role != "candidate":
            points, rounds = 1, [(Pass("singles", 1, 0, count),)]
        images = sum(p.stop - p.start for passes in rounds for p in passes)
        seconds += points * (cost(spec, images, prepared.evaluation.side) + job_s * len(rounds))
    return seconds


def decides_cost(stages: Stages, job: Job) -> bool:
    """Whether the times of this job's calls become the variant's cost, so that it must run alone.

    They do on the last set that the variant is run on, under the study's base setting, in the set's first part.
    """
    main = _sets(stages, job.variant)[-1].record.name
    base = stages.base_of(find_variant(job.variant))
    return job.inputs == main and GridPoint.of(job.condition) == base and job.passes[0].start == 0


def warmed(stages: Stages, job: Job) -> bool:
    """Whether one call of each N goes ahead unrecorded; else the first recorded one of each N prices nothing."""
    spec = find_variant(job.variant)
    return (
        stages.config.thorough and spec.role == "candidate" and decides_cost(stages, job) and not stages.emulated(spec)
    )


def _note_left_out(stages: Stages, spec: VariantSpec, prepared: PreparedSet, ran: Sequence[GridPoint]) -> None:
    """What of a set is not run under any of the settings, and what under some caps only, each said once."""
    name, whole = prepared.record.name, len(prepared.evaluation)
    counts = {point.isa: measured_images(spec, prepared.evaluation, _flags(point)) for point in ran}
    most = max(counts.values(), default=whole)
    for isa, count in counts.items():
        under = "" if count == most else f" under isa {isa}"
        if count < whole:
            why = why_emulated(spec, NATIVE if emulated(spec, cpu_flags()) else isa)
            stages.skip(spec.name, name, f"images beyond the first {count}{under}", why)
        if large := [n for n in stages.config.batch_sizes if n > count]:
            text = ", ".join(f"N = {n}" for n in large) + under
            why = f"only {count} images: images are never repeated to fill a batch"
            stages.skip(spec.name, name, text, why)
