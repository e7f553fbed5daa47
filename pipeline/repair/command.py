"""The ``repair`` command: one variant made batch-invariant over a scope, written, and verified in a fresh process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.plain import to_plain
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.deploy.folder import require_empty
from isobatch.pipeline.deploy.record import VerificationRecord
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.prepare.by_itself import prepared
from isobatch.pipeline.prepare.inputs import of_other_size
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Progress, Stages
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.repair.crossing import RepairAsked, RepairMade, RepairTold
from isobatch.pipeline.repair.deliver import MODEL, NATIVE, Found, NoRepair, prove_and_deliver
from isobatch.pipeline.repair.estimate import Work, work
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.workers.pool import WorkerError

_BESIDE = 4  # images of every set but the main one, where that many more pixels would be most of the work


@dataclass(frozen=True)
class DeliveredRepair:
    """What was written, and every rung that was tried for it."""

    record: VerificationRecord
    repairs: Sequence[Repair]
    folder: Path


def repair_variant(config: Config, rung: str | None, folder: Path, progress: Progress) -> DeliveredRepair:
    """Repair the only variant of ``config`` over its N and thread counts, and write artifact and record to ``folder``.

    Raises UsageError for input or a folder that cannot be used, NoRepair where nothing holds, WorkerError where the
    variant cannot be built or run here.
    """
    require_empty(folder)
    spec = find_variant(config.variants[0])
    with prepared(config, progress) as (stages, network, scratch):
        sets = _sets(stages, spec)
        for name in (MODEL, NATIVE):
            (scratch / name).mkdir()
        searched = _search(stages, spec, sets, rung, scratch)
        repairs = repair_records(searched.tried, config.policy.objective, searched.chosen)
        if searched.chosen is None:
            why = "; ".join([*(f"{repair.name}: {repair.note}" for repair in repairs), *searched.unwritten])
            held = f"what makes {spec.name} batch-invariant cannot be shipped"
            none = f"no rung makes {spec.name} batch-invariant over the scope"
            raise NoRepair(f"{held if searched.unwritten else none}. {why}", repairs)
        tried = Found(spec, sets, searched, repairs, to_plain(network.view))
        record = prove_and_deliver(stages, tried, scratch, folder)
    return DeliveredRepair(record, repairs, folder)


def _sets(stages: Stages, spec: VariantSpec) -> list[PreparedSet]:
    """The sets to verify on, the one first whose artifact is repaired: the last, which fits the weights.

    Those of other sizes that were asked for are verified whole; of any other set a few images.
    """
    if spec.name in stages.failures:
        failure = stages.failures[spec.name]
        raise WorkerError(failure.reason, failure.status, failure.remedy)
    able = [s for s in reversed(stages.sets) if (spec.name, s.record.name) in stages.artifacts]
    others = [s for s in reversed(stages.sets) if s is not able[0]]
    return [*able[:1], *(s if of_other_size(s.record.name, stages.config) else _few(s) for s in others)]


def _few(prepared: PreparedSet) -> PreparedSet:
    """The first images of the set: so many were asked for to fill the largest N with the main set."""
    images = prepared.evaluation
    count = min(_BESIDE, len(images))
    labels = None if images.labels is None else images.labels[:count]
    few = replace(images, shape=(count, *images.shape[1:]), labels=labels, unique=None)
    return replace(prepared, evaluation=few)


def _search(
    stages: Stages, spec: VariantSpec, sets: Sequence[PreparedSet], rung: str | None, scratch: Path
) -> RepairMade:
    images = sets[0].evaluation
    planned = _work(stages, sets)
    display = _Display(stages, spec, images.side, planned)
    asked = RepairAsked(
        variant=spec.name,
        artifact=stages.artifacts[spec.name, sets[0].record.name],
        sets=tuple(image_set.evaluation for image_set in sets),
        threads=tuple(stages.config.threads),
        batch_sizes=tuple(stages.config.batch_sizes),
        seed=stages.config.seed,
        rung=rung,
        objective=stages.config.policy.objective,
        folder=str(scratch / MODEL),
        native=str(scratch / NATIVE),
        outcome=stages.outcome,
    )
    environment = worker_settings(stages.threads)
    called = "isobatch.pipeline.repair.in_worker:repair"
    return RepairMade.of(stages.workers.call(environment, called, asked.to_json(), display.told))


def _work(stages: Stages, sets: Sequence[PreparedSet]) -> Work:
    config = stages.config
    return work([len(image_set.evaluation) for image_set in sets], config.batch_sizes, len(config.threads))


class _Display:
    """What a worker tells of its progress, shown; what another candidate costs is added when it begins."""

    def __init__(self, stages: Stages, spec: VariantSpec, size: int, planned: Work) -> None:
        self._stages, self._spec, self._size, self._planned = stages, spec, size, planned
        self._label = f"opening {spec.name}"
        self._working = False
        self._candidates = 0
        stages.progress.step(self._label, 0.0)

    def told(self, event: Any) -> None:
        """One event of the worker."""
        if not self._working:  # the pace is counted from here
            self._working = True
            self._stages.progress.plan(self._cost(self._planned.least))
        said = RepairTold.of(event)
        if said.doing:
            self._label = f"{self._spec.name}: {said.doing}"
        if said.more:
            self._candidates += 1
            if self._candidates > 1:
                left = self._planned.candidate + self._planned.serve
                self._stages.progress.plan(self._cost(left))
        self._stages.progress.step(self._label, self._cost(said.images))

    def _cost(self, images: int) -> float:
        return cost(self._spec, images, self._size)
