"""The stage that explains and repairs: for each variant that is not batch-invariant, its origins and its repair."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import key_of
from isobatch.pipeline.config.conditions import GridPoint
from isobatch.pipeline.explain.reproducer.write import still_there
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.records.study import Policy, VariantResult
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.storage.files import StoreError, read_json, write_bytes
from isobatch.pipeline.study.agreeing import reference_files, repaired_agreement
from isobatch.pipeline.study.inside.crossing import LookAsked, Looked
from isobatch.pipeline.study.isolated import EVERYBODYS, fault
from isobatch.pipeline.study.looked_into import records
from isobatch.pipeline.study.worth_repairing import ONCE_S, Budget, cannot_win, explaining_cost, not_tried, served

REPAIR_S = 90.0  # for the repairs of all variants together
QUICK_REPAIR_S = 60.0  # the same in a study that is to be quick
EXPLAINED = ("batch-variant", "top1-stable")
_KEPT = "explanation-"


def explain(stages: Stages, results: list[VariantResult], policy: Policy) -> list[VariantResult]:
    """The results with origins, growth and repairs added where a variant is not batch-invariant.

    Origins are sought on the last input set (the one that fits the weights, if it is among them) on which its outputs
    depend on the batch; the repair is priced there, and verified on every set that the same artifact serves. A quick
    study looks only into what a repair may make the choice, and into the reference.
    """
    hopeless = cannot_win(results, policy)
    chosen = explained_on(stages, results)
    if stages.config.quick:
        why = "a quick study does not look inside it: {}; without --quick the study does"
        results = [
            _not_looked_into(stages, v, chosen.pop(v.name), why.format(hopeless[v.name]), asked=True)
            if v.name in hopeless
            else v
            for v in results
        ]
    budget = Budget(QUICK_REPAIR_S if stages.config.quick else REPAIR_S, len(chosen), hopeless)
    costs = {
        name: explaining_cost(stages, name, prepared, hopeless=name in budget.hopeless)
        for name, prepared in chosen.items()
    }
    stages.announce("explanation", sum(costs.values()))
    return [
        _explained(stages, result, chosen[result.name], budget) if result.name in chosen else result
        for result in results
    ]


def explained_on(stages: Stages, results: Sequence[VariantResult]) -> dict[str, PreparedSet]:
    """By variant that is to be explained the last input set on which its outputs depend on the batch."""
    sets = {prepared.record.name: prepared for prepared in stages.sets}
    return {
        result.name: sets[[judged.inputs for judged in result.by_inputs if judged.verdict in EXPLAINED][-1]]
        for result in results
        if result.verdict in EXPLAINED
    }


def explanation_ahead(stages: Stages, results: Sequence[VariantResult], policy: Policy) -> tuple[int, float]:
    """How many variants are still to be explained, and the rough seconds of calls that takes: of what an earlier start
    of the run kept, none.
    """
    hopeless = cannot_win(results, policy)
    due = {
        name: prepared
        for name, prepared in explained_on(stages, results).items()
        if not (stages.config.quick and name in hopeless)
        and not any(stages.run.evidence_file(name, "").glob(f"{_KEPT}*"))
    }
    costs = [explaining_cost(stages, name, at, hopeless=name in hopeless) for name, at in due.items()]
    return len(due), sum(costs) - ONCE_S * len(due)


def _not_looked_into(
    stages: Stages,
    result: VariantResult,
    prepared: PreparedSet,
    why: str,
    what: str = "origins and repair",
    **how: bool,
) -> VariantResult:
    """The record of a variant that says why it was not looked into. ``how``: as of ``Stages.skip``."""
    stages.skip(result.name, prepared.record.name, what, why, origins=True, **how)
    return result.model_copy(update={"not_run": stages.not_run[result.name]})


def _explained(stages: Stages, result: VariantResult, prepared: PreparedSet, budget: Budget) -> VariantResult:
    """``_explain``; where it fails, the verdict stands, and what is missing is told as a part that failed."""
    try:
        return _explain(stages, result, prepared, budget)
    except EVERYBODYS:
        raise
    except Exception as error:
        lost = fault("seeking its origins and repair", error)
        why = f"{lost.reason} ({lost.remedy})" if lost.remedy else lost.reason
        if stages.config.debug and lost.trace:
            stages.progress.line(lost.trace)
        return _not_looked_into(stages, result, prepared, why, failed=True)


def _explain(stages: Stages, result: VariantResult, prepared: PreparedSet, budget: Budget) -> VariantResult:
    if (point := _deciding(stages, result, prepared)) is None:
        budget.spend(0.0)
        why = (
            "its outputs depend on the batch where its arithmetic is emulated: replaying every layer takes too long "
            "(--explain full does it all the same)"
        )
        return _not_looked_into(stages, result, prepared, why)
    try:
        looked = _look_inside(stages, result.name, prepared, point, budget)
    except WorkerError:
        budget.spend(0.0)
        raise
    budget.spend(looked.repair_s)
    objective, agreement = stages.config.policy.objective, partial(repaired_agreement, stages)
    if not looked.locatable:
        tried = looked.tried
        repairs = None if tried is None else repair_records(tried, objective, agreement=agreement)
        known = result.model_copy(update={"repairs": repairs})
        return _not_looked_into(stages, known, prepared, looked.why, "origins")
    condition = point.at(prepared.evaluation.side)
    return result.model_copy(
        update=records(
            looked,
            prepared.record.name,
            condition,
            stages.config.explain,
            objective,
            budget.hopeless.get(result.name),
            agreement,
        )
    )


def _deciding(stages: Stages, result: VariantResult, prepared: PreparedSet) -> GridPoint | None:
    """The setting that decided the verdict on this set: what is to be explained happened there.

    Where a cap makes the arithmetic slow there, another under which the outputs depend on the batch; without one None,
    or with ``--explain full`` that setting all the same.
    """
    spec, name = find_variant(result.name), prepared.record.name
    decided = next(judged.decided_by.condition for judged in result.by_inputs if judged.inputs == name)
    differing = [
        comparison.condition
        for comparison in result.comparisons
        if comparison.inputs == name and comparison.kind != "vs-reference" and not comparison.bitwise_equal
    ]
    first = stages.base_of(spec) if decided is None else GridPoint.of(decided)
    points = [first, *map(GridPoint.of, differing)]
    fast = (point for point in points if not stages.emulated_under(spec, point))
    return next(fast, first if stages.config.explain == "full" else None)


def _look_inside(stages: Stages, variant: str, prepared: PreparedSet, point: GridPoint, budget: Budget) -> Looked:
    """What a worker finds, kept with the run's evidence so that an interrupted study does not look again."""
    spec, images = find_variant(variant), prepared.evaluation
    label = f"origins and repair of {variant}"
    stages.progress.step(label, 0.0)
    left = explaining_cost(stages, variant, prepared, hopeless=variant in budget.hopeless)

    def on_event(event: dict[str, Any]) -> None:
        nonlocal left
        done = min(left, cost(spec, Told.of(event).images, images.side))
        left -= done
        stages.progress.step(label, done)

    asked = LookAsked(
        variant=variant,
        settings=point.runner,
        isa=point.isa,
        artifact=stages.artifacts[variant, prepared.record.name],
        images=images,
        also=tuple(other.evaluation for other in served(stages, variant, prepared)),
        batch_sizes=tuple(n for n in stages.config.batch_sizes if n <= len(images)),
        seed=stages.config.seed,
        explain=stages.config.explain,
        repair=stages.config.repair,
        thorough=stages.config.thorough,
        cannot_win=not_tried(variant, budget.hopeless.get(variant, "")),
        outcome=stages.outcome,
        objective=stages.config.policy.objective,
        references=reference_files(stages),
    )
    kept = stages.run.evidence_file(variant, f"{_KEPT}{key_of(asked.to_json())[:12]}.json")
    # not there, or of another version
    with contextlib.suppress(StoreError, TypeError, ValueError, KeyError, AttributeError):
        looked = Looked.of(still_there(read_json(kept), stages.run.folder))
        stages.kept_jobs += 1
        stages.progress.step(label, left)
        return looked
    # where it writes, and what others leave of the time, are no part of the kept name
    asked = replace(asked, run_folder=str(stages.run.folder), repair_s=budget.share_s())
    call = "isobatch.pipeline.study.inside.in_worker:explain_and_repair"
    answer = stages.workers.call(point.environment, call, asked.to_json(), on_event)
    stages.progress.step(label, left)  # however much of it there was to do
    write_bytes(kept, [json.dumps(answer).encode()])  # may hold NaN and infinities, which only this file reads back
    return Looked.of(answer)
