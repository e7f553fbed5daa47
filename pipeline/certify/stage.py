"""The stage after the race: the choice is verified at every N; where what is shipped fails, it is chosen again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.pipeline.certify.crossing import ComparisonRan, RangeAsked, RangeTold
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.decide.ranges import holds_to, with_range
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.decide.repaired_variants import native_name, with_repairs
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.race.opening import opening
from isobatch.pipeline.records.study import FilledWith, Policy, Race, Range, RangeFailure, RangeTies, VariantResult
from isobatch.pipeline.records.wording import sizes

CERTIFY_S, QUICK_CERTIFY_S = 120.0, 6.0
"""Seconds that verifying may take, of all that is chosen in turn."""

_LEAST_S = 5.0  # for a choice made late
_VERIFY = "isobatch.pipeline.certify.in_worker:verify_range"
_CLAIMS: dict[str, Any] = {"batch-invariant": "same-bytes", "top1-stable": "same-top1"}
OUT_OF_TIME = "the time for it was over"


def limit_s(config: Config) -> float:
    """Seconds that verifying may take in this study."""
    return QUICK_CERTIFY_S if config.quick else CERTIFY_S


def certify(
    stages: Stages,
    variants: list[VariantResult],
    policy: Policy,
    race: Race | None,
    labelled: Images | None,
    timed_again: Callable[[list[VariantResult], Race], Race] = lambda variants, race: race,
) -> tuple[list[VariantResult], Race | None]:
    """The variants, each that was chosen on the way with the range over which it was verified; and the race.

    ``labelled``: images that fill the batches where the input set has too few. What claims nothing, or has no times to
    be recommended at an N, is not verified. ``timed_again``: the race with what a limit asks of the one that is chosen
    after another was rejected.
    """
    left_s = limit_s(stages.config)
    if stages.config.budget_s is not None:
        left_s = min(left_s, stages.config.budget_s - stages.run.spent_s)
    while stages.config.certify and (due := unverified(variants, policy, race)):
        chosen, batch_size = due
        verified = _verified(stages, variants, chosen, batch_size, labelled, max(_LEAST_S, left_s))
        variants, left_s = with_range(variants, chosen.name, verified), left_s - verified.seconds
        if race is not None and verified.failures:
            race = timed_again(variants, race)
    return variants, race


def unverified(
    variants: Sequence[VariantResult], policy: Policy, race: Race | None
) -> tuple[VariantResult, int] | None:
    """The choice and its N, where its verdict is to be verified over a range and has not been yet."""
    decided = recommend(variants, policy, race)
    chosen = next((repair for repair in with_repairs(variants) if repair.name == decided.chosen), None)
    if chosen is None or chosen.range is not None or chosen.cost is None or chosen.verdict not in _CLAIMS:
        return None
    return chosen, decided.batch_size or 1


@dataclass
class _Heard:
    """What a worker has said so far; kept where it crashes later."""

    filled_with: FilledWith = field(default_factory=lambda: FilledWith(own=0))
    run: dict[int, int] = field(default_factory=dict)  # comparisons by N
    failures: list[RangeFailure] = field(default_factory=list)
    ties: RangeTies | None = None

    def hear(self, ran: ComparisonRan, by_bytes: bool) -> None:
        """Take one comparison. ``by_bytes``: the claim is that of bytes, else of the outcome."""
        if ran.kind == "ties":
            before = self.ties.elements if self.ties else 0
            self.ties = RangeTies(layers=ran.layers, elements=before + ran.elements, to=ran.n)
        else:
            self.run[ran.n] = self.run.get(ran.n, 0) + 1
        if ran.differing if by_bytes else ran.flipped:
            self.failures.append(
                RangeFailure(batch_size=ran.n, kind=ran.kind, differing=ran.differing, flipped=ran.flipped)
            )


def _verified(
    stages: Stages,
    variants: Sequence[VariantResult],
    chosen: VariantResult,
    batch_size: int,
    labelled: Images | None,
    seconds: float,
) -> Range:
    """The range of the choice. A worker that ends early ends the range there, with the reason."""
    spec, asked = find_variant(native_name(chosen.name)), stages.config.certify
    environment, opens = opening(stages, variants, chosen, max(asked))
    claim = _CLAIMS[str(chosen.verdict)]
    wanted = RangeAsked(
        **vars(opens),
        sizes=asked,
        labelled=(labelled,) if labelled else (),
        seed=stages.config.seed % 2**32,
        seconds=seconds,
        ties=claim == "same-bytes",
    )
    heard, size = _Heard(), opens.images.side
    seconds_each = cost(spec, 1, size)
    stages.announce("range", min(seconds, seconds_each * (max(asked) + 2 * sum(asked))))
    label = f"verifying {chosen.name} at {sizes((1, *asked))}, at most {seconds:.0f} s"
    stages.progress.step(label, 0.0)

    def on_event(event: dict[str, Any]) -> None:
        told = RangeTold.of(event)
        if told.filled_with:
            heard.filled_with = FilledWith(**vars(told.filled_with))
        if told.ran:
            heard.hear(told.ran, claim == "same-bytes")
            stages.progress.step(label, seconds_each * told.ran.n)

    stopped = None
    with stages.stage("range"):
        before = stages.seconds.get("range", 0.0)
        try:
            in_time: bool = stages.workers.call(environment, _VERIFY, wanted.to_json(), on_event)
            stopped = None if in_time else OUT_OF_TIME
        except WorkerError as error:
            stopped = error.reason
    own = opens.delivery.serving.threads if opens.delivery else 0
    failed_at = sorted({failure.batch_size for failure in heard.failures})
    run = [n for n, count in heard.run.items() if count == 2]
    return Range(
        claim=claim,
        sizes=list(asked),
        to=holds_to(asked, run, failed_at),
        batch_size=batch_size,
        threads=own or opens.settings.threads,
        image_size=[] if opens.images.fields else list(opens.images.shape[2:]),
        inputs=opens.images.name,
        filled_with=heard.filled_with,
        n_comparisons=sum(heard.run.values()),
        failed_at=failed_at,
        failures=heard.failures,
        ties=heard.ties,
        stopped=stopped,
        seconds=stages.seconds["range"] - before,
    )
