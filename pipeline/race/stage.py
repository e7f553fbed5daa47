"""The stage of the race: open the contestants, find the best N of each, run the rounds, time the tail of the choice."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from isobatch.models.registry import find_variant
from isobatch.pipeline.config.config import QUICK_RACE_S, Config
from isobatch.pipeline.decide.prices import REFERENCE_PRECISION
from isobatch.pipeline.decide.race import LOOKS, looks_due, ratios, spread_of, table
from isobatch.pipeline.decide.recommend import chosen_name
from isobatch.pipeline.decide.repaired_variants import native_name, with_repairs
from isobatch.pipeline.machine.memory import kernel_bytes
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.race.contestant import LiveContestant
from isobatch.pipeline.race.field import Wanted, entered, fastest_of, field
from isobatch.pipeline.race.opening import opening
from isobatch.pipeline.race.rounds import PATIENCE_S, TRIED, Entry, Tally, preliminary, race
from isobatch.pipeline.records.study import Contestant, Policy, Race, Rejected, VariantResult

TAIL_CALLS = 300
"""Calls of the chosen one for p99: from 299 on its upper limit exists."""

_TAIL_TURN = 25  # calls of one turn
_REFERENCE_ROUNDS, _REFERENCE_SHARE = LOOKS[0], 0.25
_SHORT_WAIT_S = 3.0  # for other programs: for the rounds against the reference, and in a study that is to be quick
_LEAST_LIMIT_S, _SLOWER = 10.0, 20.0
BESIDE_S = 15.0
"""Seconds beside the rounds of a race, roughly: opening the contestants, and the reference's rounds."""
_USUAL_S, _QUICK_S = 50.0, 14.0  # after which most races are decided
_OPENED_S = 1.0  # opening one contestant, roughly
_REPEATED = 1.3  # times the calls of a race: rounds that other programs disturb are run again
_FREE_SHARE = 0.8  # of the memory that is free


def run_race(
    stages: Stages, results: Sequence[VariantResult], policy: Policy, between: Callable[[], None] = lambda: None
) -> Race | None:
    """The race of those that meet every demand but cost; None where none was asked for, or nobody is to be raced.

    ``between``: called between rounds, while every contestant is stopped.
    """
    if not stages.config.race_s:
        return None
    free = kernel_bytes("/proc/meminfo", "MemAvailable")
    wanted, left_out = field(results, policy, None if free is None else int(free * _FREE_SHARE))
    if not wanted:
        return None
    return _Race(stages, results, policy, wanted).run(left_out, between)


def tails_again(stages: Stages, results: Sequence[VariantResult], policy: Policy, raced: Race) -> Race:
    """The race with calls of who is the choice now for a limit on p99, opened anew, where it has none."""
    known = {variant.name: variant for variant in with_repairs(results)}
    contestants = {contestant.variant: contestant for contestant in raced.contestants}
    with ExitStack() as opened:

        def again(name: str) -> Entry | None:
            contestant = contestants.get(name)
            if contestant is None or not contestant.call_s:
                return None
            n = contestant.batch_size
            entry = _entry(stages, results, Wanted(known[name], (n,), max(contestant.call_s) / n, 0, True), opened)
            entry.open()
            return entry

        return _with_tails(stages, results, policy, raced, again)


def _entry(stages: Stages, results: Sequence[VariantResult], wanted: Wanted, opened: ExitStack) -> Entry:
    environment, asked = opening(stages, results, wanted.variant, max(wanted.sizes))
    contestant = opened.enter_context(LiveContestant(stages.workers, environment, asked.to_json()))
    limit_s = max(_LEAST_LIMIT_S, _SLOWER * 2 * wanted.seconds * max(wanted.sizes))
    return Entry(wanted.variant.name, contestant, wanted.sizes[0], limit_s, max(limit_s, stages.config.timeout_s))


def _with_tails(
    stages: Stages,
    results: Sequence[VariantResult],
    policy: Policy,
    raced: Race,
    entry_of: Callable[[str], Entry | None],
) -> Race:
    """With a limit on p99: calls of the chosen one alone, and of the next where it misses the limit."""
    if policy.max_latency_p99_ms is None:
        return raced
    without_limit = policy.model_copy(update={"max_latency_p99_ms": None})
    missed: set[str] = set()
    while (name := chosen_name(results, without_limit, raced, missed)) is not None:
        if not any(contestant.variant == name and contestant.more_s for contestant in raced.contestants):
            if (entry := entry_of(name)) is None:
                break
            stages.progress.step(f"race: {TAIL_CALLS} calls of {name}", 0.0)
            more = {"more_s": _calls(entry, TAIL_CALLS)}
            timed = [c.model_copy(update=more) if c.variant == name else c for c in raced.contestants]
            raced = raced.model_copy(update={"contestants": timed})
        if chosen_name(results, policy, raced, missed) == name:
            break
        missed.add(name)
    return raced


def last_look(config: Config) -> int:
    """After so many rounds the race ends: ten in a quick study whose race was given no more time than usual."""
    return LOOKS[0] if config.quick and config.race_s <= QUICK_RACE_S else LOOKS[-1]


def usual_s(config: Config) -> float:
    """Seconds that the stage takes, for the estimate of the time left: most races end long before their limit."""
    rounds_s = _QUICK_S if last_look(config) == LOOKS[0] else _USUAL_S
    return min(config.race_s, rounds_s) + BESIDE_S if config.race_s else 0.0


def expected_s(config: Config, wanted: Sequence[Wanted], rival: Wanted | None) -> float:
    """Seconds that the stage takes with these contestants, as fast as they were in the passes.

    Each call is made twice, once untimed; a race that goes on after its first look is mostly over after the third.
    """
    rounds = LOOKS[0] if last_look(config) == LOOKS[0] else LOOKS[2]
    calls = [2 * w.seconds * w.sizes[0] for w in wanted if not w.doubted]
    tried = [2 * w.sizes[0] if w.doubted else (1 + TRIED) * sum(w.sizes) for w in wanted]
    opening_s = sum(_OPENED_S + images * w.seconds for images, w in zip(tried, wanted, strict=True))
    against = _REFERENCE_ROUNDS * 2 * rival.seconds * rival.sizes[0] if rival else 0.0
    return (
        min(config.race_s, _REPEATED * rounds * sum(calls)) + opening_s + min(_REFERENCE_SHARE * config.race_s, against)
    )


class _Race:
    """One race: who is in it, and what is known while it runs."""

    def __init__(
        self, stages: Stages, results: Sequence[VariantResult], policy: Policy, wanted: Sequence[Wanted]
    ) -> None:
        self.stages, self.results, self.policy, self.wanted = stages, results, policy, wanted
        self.admissible = {contestant.variant.name for contestant in wanted if contestant.admissible}
        self.looked = 0  # of the looks that were due
        self.last_look = last_look(stages.config)
        self.rival = fastest_of(results, policy, REFERENCE_PRECISION)  # of the choice, where it is not raced
        self.opened: dict[str, Entry] = {}

    def run(self, left_out: list[Rejected], between: Callable[[], None]) -> Race:
        """Everything in order; what was started is ended, whatever happens."""
        seconds = self.stages.config.race_s
        self.stages.announce("race", expected_s(self.stages.config, self.wanted, self.rival), real=True)
        with ExitStack() as opened:
            entries, slow = entered(self._asked(opened), self.rival.variant.name if self.rival else "")
            left_out = [*left_out, *slow]
            self.admissible -= {rejection.variant for rejection in slow}
            done = [0.0]

            def told(tally: Tally) -> None:
                self.stages.progress.step(f"race of {len(entries)}", tally.seconds - done[0])
                done[0] = tally.seconds
                between()

            patience_s = _SHORT_WAIT_S if self.stages.config.quick else PATIENCE_S
            tally = race(entries, seconds, lambda tally: self._decided(entries, tally), told, patience_s=patience_s)
            raced = self._record(entries, tally, left_out)
            raced = _with_tails(self.stages, self.results, self.policy, raced, {one.name: one for one in entries}.get)
            return self._reference(entries, raced, opened)

    def _asked(self, opened: ExitStack) -> Iterator[tuple[Wanted, Entry]]:
        for wanted in self.wanted:
            self.stages.progress.step(f"race: opening {wanted.variant.name}", 0.0)
            entry = self.opened[wanted.variant.name] = _entry(self.stages, self.results, wanted, opened)
            yield wanted, entry

    def _decided(self, entries: Sequence[Entry], tally: Tally) -> bool:
        """At a look: whether more rounds would decide nothing. The last look ends the race."""
        due = looks_due(tally.rounds)
        if due == self.looked:
            return False
        self.looked = due
        running = [entry for entry in entries if entry.name in self.admissible and entry.dropped is None]
        if tally.rounds >= self.last_look or not running:
            return True
        sizes = [entry.batch_size for entry in running]
        waited = table([entry.waited_s for entry in running], sizes) if tally.unsteady else None
        compared = ratios(table([entry.call_s for entry in running], sizes), spread_of(tally.unsteady), waited)
        return compared.settled(self.policy.cost_margin / 100)

    def _record(self, entries: Sequence[Entry], tally: Tally, left_out: list[Rejected]) -> Race:
        first = self.wanted[0].variant
        assert first.cost is not None
        return Race(
            inputs=first.cost.inputs,
            condition=self.stages.base_of(find_variant(native_name(first.name))).at(first.cost.image_size),
            objective=self.policy.objective,
            seconds=tally.seconds,
            rounds=tally.rounds,
            disturbed=tally.disturbed,
            unsteady=tally.unsteady,
            waited_s=tally.waited_s,
            contestants=[_raced(entry) for entry in entries],
            left_out=left_out,
        )

    def _reference(self, entries: Sequence[Entry], raced: Race, opened: ExitStack) -> Race:
        """A few rounds of the chosen one against the fastest of the reference precision, where that was not raced."""
        name = chosen_name(self.results, self.policy, raced)
        chosen = next((entry for entry in entries if entry.name == name and entry.dropped is None), None)
        rival = self.rival
        if chosen is None or rival is None or any(c.variant == rival.variant.name for c in raced.contestants):
            return raced
        if find_variant(native_name(chosen.name)).precision == REFERENCE_PRECISION:
            return raced
        self.stages.progress.step(f"race: {chosen.name} against {rival.variant.name}", 0.0)
        mine = Entry(chosen.name, chosen.contestant, chosen.batch_size, chosen.limit_s, chosen.open_s)
        other = self.opened.get(rival.variant.name)
        if other is None or other.dropped is not None:
            other = _entry(self.stages, self.results, rival, opened)
            other.open()
            preliminary(other, [other.batch_size])
        seconds = _REFERENCE_SHARE * self.stages.config.race_s
        tally = race([mine, other], seconds, lambda tally: tally.rounds >= _REFERENCE_ROUNDS, patience_s=_SHORT_WAIT_S)
        pair = [_raced(mine), _raced(other)]
        return raced.model_copy(update={"against_reference": pair, "reference_unsteady": tally.unsteady})


def _raced(entry: Entry) -> Contestant:
    return Contestant(
        variant=entry.name,
        batch_size=entry.batch_size,
        call_s=entry.call_s,
        waited_s=entry.waited_s,
        tried_s={str(n): seconds for n, seconds in entry.tried_s.items()},
        load_s=entry.contestant.load_s or None,
        peak_memory_bytes=entry.peak_memory_bytes or None,
        dropped=entry.dropped,
    )


def _calls(entry: Entry, count: int) -> list[float]:
    """So many calls of one entry alone; fewer where it drops out."""
    seconds: list[float] = []
    while len(seconds) < count and entry.dropped is None:
        turn = entry.turn(calls=min(_TAIL_TURN, count - len(seconds)))
        seconds += turn.seconds if turn else ()
    return seconds
