"""The ``repair`` command: one variant made batch-invariant over a scope, written, and verified in a fresh process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isobatch.models.registry import find_variant
from isobatch.models.spec.plain import to_plain
from isobatch.models.spec.words import VariantSpec
from isobatch.models.weights.model_name import own_code
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.deploy.folder import require_empty
from isobatch.pipeline.deploy.record import VerificationRecord
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.prepare.by_itself import prepared
from isobatch.pipeline.prepare.inputs import of_other_size
from isobatch.pipeline.prepare.state import Progress, Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.repair.crossing import RepairAsked, RepairMade
from isobatch.pipeline.repair.deliver import MODEL, NATIVE, NoRepair, RepairFound, prove_and_deliver
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.repair.remaining import Remaining, work

_BESIDE = 4  # images of every set but the main one, where that many more pixels would be most of the work


@dataclass(frozen=True)
class DeliveredRepair:
    """What was written, and every rung that was tried for it."""

    record: VerificationRecord
    repairs: Sequence[Repair]


def repair_variant(config: Config, rung: str | None, folder: Path, progress: Progress) -> DeliveredRepair:
    """Repair the only variant of ``config`` over its N and thread counts, and write artifact and record to ``folder``.

    Raises UsageError for input or a folder that cannot be used, NoRepair where nothing holds, WorkerError where the
    variant cannot be built or run here.
    """
    require_empty(folder)
    spec = find_variant(config.variants[0])
    if spec.runtime == "torch" and not config.onnx and (code := own_code(config.model)):
        raise UsageError(
            "not-deployable",
            f"{spec.name} runs code that is {code} ({config.model}), and only numbers are written: repair an ort- "
            "variant of it, or repair it in Python, isobatch.make_batch_invariant(network, inputs)",
        )
    with prepared(config, progress) as (stages, network, scratch):
        sets = _sets(stages, spec)
        for name in (MODEL, NATIVE):
            (scratch / name).mkdir()
        searched = _search(stages, spec, sets, rung, scratch)
        repairs = repair_records(searched.tried, config.policy.objective, searched.chosen)
        if searched.chosen is None:
            why = "; ".join([*(f"{repair.name}: {repair.note}" for repair in repairs), *searched.unwritten])
            raise NoRepair(f"{_none(spec.name, searched)}. {why}")
        tried = RepairFound(spec, sets, searched, repairs, to_plain(network.view))
        record = prove_and_deliver(stages, tried, scratch, folder)
    return DeliveredRepair(record, repairs)


def _none(name: str, searched: RepairMade) -> str:
    """In one sentence: none was tried, or none holds, or none that holds can be written."""
    if not searched.tried:
        return f"{name} cannot be made batch-invariant"
    if any(attempt.holds and attempt.bitwise for attempt in searched.tried):
        return f"what makes {name} batch-invariant cannot be shipped"
    return f"no rung makes {name} batch-invariant over the scope"


def _sets(stages: Stages, spec: VariantSpec) -> list[PreparedSet]:
    """The sets to verify on, the one first whose artifact is repaired: the last, which fits the weights.

    Those of other sizes that were asked for are verified whole; of any other set a few images. Raises UsageError where
    the first has no images for any N, WorkerError where the variant cannot be built.
    """
    if spec.name in stages.failures:
        failure = stages.failures[spec.name]
        raise WorkerError(failure.reason, failure.status, failure.remedy)
    able = [s for s in reversed(stages.sets) if (spec.name, s.record.name) in stages.artifacts]
    first, asked = able[0], stages.config.batch_sizes
    if not any(1 < n <= len(first.evaluation) for n in asked):
        raise UsageError(
            "bad-request",
            f"no batch can be formed of {first.record.name}, which has {counted(len(first.evaluation), 'image')}, at "
            f"{sizes(asked)}: give more images, or lower --batch-sizes",
        )
    others = [s for s in reversed(stages.sets) if s is not first]
    return [first, *(s if of_other_size(s.record.name, stages.config) else _few(s) for s in others)]


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
    counts = [len(image_set.evaluation) for image_set in sets]
    planned = work(counts, stages.config.batch_sizes, len(stages.config.threads))
    remaining = Remaining(stages.progress, spec.name, planned)
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
    made = RepairMade.of(stages.workers.call(environment, called, asked.to_json(), remaining.told))
    remaining.written()
    return made
