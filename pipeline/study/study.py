"""The order of the stages of a study, and the only file that knows it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from isobatch.models.registry import find_variant
from isobatch.pipeline.certify.stage import certify
from isobatch.pipeline.compare.cost import cost_of, fastest_batch
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.variants import left_out
from isobatch.pipeline.decide.demands import held_back, withheld
from isobatch.pipeline.decide.deployment import from_run
from isobatch.pipeline.decide.fixed_point import answer
from isobatch.pipeline.decide.mixing import without_repairs
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.decide.repaired_variants import native_name
from isobatch.pipeline.decide.switch_variant import with_switches
from isobatch.pipeline.deploy.keep import keep_artifacts, keep_only
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.machine.memory import PeakMemory
from isobatch.pipeline.prepare.artifacts import build_artifacts
from isobatch.pipeline.prepare.network import prepare_network
from isobatch.pipeline.prepare.run_folder import Run
from isobatch.pipeline.prepare.state import Progress, Stages
from isobatch.pipeline.processes.engines import Engine
from isobatch.pipeline.processes.engines.local import LocalEngine
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.race.stage import run_race, tails_again
from isobatch.pipeline.records.study import Cost, Race, Recommendation, Study, VariantResult
from isobatch.pipeline.storage.cache import in_use
from isobatch.pipeline.storage.places import cache_root
from isobatch.pipeline.study.ahead import foresee
from isobatch.pipeline.study.as_record import KnownSoFar, as_record
from isobatch.pipeline.study.assess import Findings, Verdicts, completed
from isobatch.pipeline.study.budget import Clock
from isobatch.pipeline.study.demanded import complete_policy, demanded
from isobatch.pipeline.study.explain import explain
from isobatch.pipeline.study.isolated import compared_apart, decided, fault, without_results
from isobatch.pipeline.study.jobs import plan_jobs
from isobatch.pipeline.study.labelled import labelled_images, run_labelled
from isobatch.pipeline.study.measure import Rounds, run_evidence, run_references
from isobatch.pipeline.study.soundness import Sound, float_error, judge_baseline, judge_mixing

PlanReader = Callable[[list[Job], int | None], None]
"""``on_plan(jobs, num_classes)``."""


def run_study(
    config: Config,
    run: Run,
    progress: Progress,
    on_plan: PlanReader | None = None,
    device: Mapping[str, str] | None = None,
    on_study: Callable[[Study], None] | None = None,
) -> Study | None:
    """Run every stage in order and return the finished study. ``device``: what ``ask_device`` said.

    ``on_study`` is given what is known after each stage, from the first verdicts on, with ``pending`` naming the rest.

    With ``on_plan``: give it the planned jobs and return None without measuring. Raises UsageError for input that all
    variants share; a fault of one variant is recorded, and the others go on.
    """
    begin = time.monotonic()
    with (
        PeakMemory() as memory,
        in_use(cache_root()),
        Workers(config.timeout_s) as workers,
        _open_engine(config, workers, progress.line) as engine,
    ):
        workers.launcher(worker_settings(max(config.threads)))  # libraries load while the stages below plan
        stages = Stages(config, run, cache_root(), workers, progress, engine, device=device or {})
        for text in left_out(config.variants, config.onnx is not None):
            stages.warn("not-installed", text)
        chosen, clock = prepare_network(stages), Clock(stages)
        with stages.stage("artifacts"):
            build_artifacts(stages, clock.in_order, clock.before_building)
        jobs = plan_jobs(stages)
        if on_plan is not None:
            on_plan(jobs, chosen.network.num_classes)
            return None
        run.start()
        keep_artifacts(stages, chosen.view)
        with stages.stage("references"):
            references = run_references(stages)
        with stages.stage("accuracy"):
            known = labelled_images(stages)
        foresee(stages, known)
        jobs = clock.plan(jobs)
        with stages.stage("evidence"):
            verdicts = Verdicts(stages, references)
            gathered = run_evidence(stages, jobs, verdicts.add, clock.too_late)
            for text in engine.left_out:
                stages.warn("other-machine", text)
            results = verdicts.of_all()
        foresee(stages, known, results)
        findings = Findings(gathered.rounds, references, {}, None, complete_policy(config.policy, 0)[0])
        answers = KnownSoFar(stages, findings, on_study or (lambda study: None), begin)
        to_come = _to_come(config)
        answers.so_far(results, ["accuracy and agreement", *to_come])
        clock.learn(gathered.rounds)
        accuracy_fits = clock.accuracy_fits(answers.seconds)
        with stages.stage("accuracy"):
            costs = _costs(stages, gathered.timed)
            policy = demanded(stages, config.policy, len(known[1]) if known and accuracy_fits else 0, accuracy_fits)
            fastest = {name: fastest_batch(variant_cost) for name, variant_cost in costs.items()}
            error, limit = float_error(stages, gathered.rounds, references), policy.max_accuracy_drop
            labelled = run_labelled(stages, *known, fastest, limit, error) if known and accuracy_fits else None
        with stages.stage("comparison"):
            findings = Findings(gathered.rounds, references, costs, labelled, policy)
            results = _completed(stages, findings, results)
        answers.so_far(results, to_come)
        clock.plan_explanation(results, policy, answers.seconds)
        if stages.config.explain != "none":
            with stages.stage("explanation"):
                explained = explain(stages, results, policy)
                switched = partial(with_switches, policy=policy)
                results = decided(stages, explained, "repair by a switch", switched)[0] or explained
        with stages.stage("network"):
            sound = Sound(judge_baseline(stages, labelled), judge_mixing(stages, results))
            results = without_repairs(results, sound.mixing)
        answers.so_far(results, to_come[to_come.index("race") :])
        raced = None
        if withheld(sound.baseline, sound.mixing) is None:
            clock.plan_race(results, policy, answers.seconds)
            with stages.stage("race"), memory.by_hand() as sample, progress.still():  # else they disturb the rounds
                raced = run_race(stages, results, policy, sample)
            clock.raced(results, policy, raced)
            if (
                raced is not None and stages.config.certify and not config.quick
            ):  # what takes seconds is not written for
                answers.so_far(results, to_come[to_come.index("race") + 1 :], raced)

            def timed_again(results: list[VariantResult], raced: Race) -> Race:
                with stages.stage("race"), memory.by_hand(), progress.still():
                    return tails_again(stages, results, policy, raced)

            results, raced = certify(stages, results, policy, raced, known[1] if known else None, timed_again)
        wall_s = time.monotonic() - begin
    return _record(stages, findings, results, sound, raced, wall_s, memory.peak_bytes)


@contextmanager
def _open_engine(config: Config, workers: Workers, say: Callable[[str], None]) -> Iterator[Engine]:
    """The engine, closed at the end. Raises UsageError ("ray-missing", "ray-cluster") where it cannot be had."""
    if config.engine == "local":
        yield LocalEngine(workers, config.workers)
        return
    from isobatch.pipeline.processes.engines.ray import RayEngine
    from isobatch.pipeline.processes.engines.ray_cluster import RayCluster

    with RayCluster(config.ray_address, say) as cluster:
        yield RayEngine(cluster, config.workers, config.timeout_s)


def _to_come(config: Config) -> list[str]:
    """What is still to come after accuracy."""
    range_ = ["verifying the choice over its range"] if config.certify else []
    return [*(["origins and repairs"] if config.explain != "none" else []), "race", *range_, "recommendation"]


def _completed(stages: Stages, findings: Findings, results: list[VariantResult]) -> list[VariantResult]:
    known = {result.name: result for result in results}

    def look(name: str) -> VariantResult:
        return completed(stages, findings, known[name])

    return [compared_apart(stages, name, look, lambda name: without_results(stages, known[name])) for name in known]


def _costs(stages: Stages, rounds: Rounds) -> dict[str, Cost]:
    """The cost of each variant on the main input set: the last one it was measured on, which fits the weights.

    ``rounds``: the evidence whose calls were timed.
    """
    costs = {}
    for prepared in stages.sets:
        name = prepared.record.name
        for (variant, inputs, condition), seen in rounds.items():
            at = stages.base_of(find_variant(variant)).at(prepared.evaluation.side)
            if (inputs, condition) == (name, at) and variant not in stages.failures:
                try:
                    costs[variant] = cost_of(seen, stages.artifacts[variant, name], prepared.evaluation.side)
                except Exception as error:
                    stages.fail(variant, fault("reading its times", error))
    return costs


def _record(
    stages: Stages,
    findings: Findings,
    results: list[VariantResult],
    sound: Sound,
    race: Race | None,
    wall_s: float,
    peak_bytes: int | None,
) -> Study:
    """The finished study. ``sound`` and ``race``: what the choice rests on beside the variants' records."""

    def recommended(results: list[VariantResult]) -> Recommendation:
        recommendation = from_run(recommend(results, findings.policy, race), stages.run.folder)
        return held_back(recommendation, results, sound.baseline, sound.mixing)

    said, results = decided(stages, results, "answering the question", answer)
    choice, results = decided(stages, results, "recommending", recommended)
    study = as_record(stages, findings, results, sound, wall_s, peak_bytes)
    keep_only(stages.run.folder, native_name(choice.chosen) if choice and choice.chosen else None)
    return study.model_copy(update={"answer": said, "race": race, "recommendation": choice})
