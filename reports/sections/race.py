"""The race that priced the candidates: who was how fast, what is shown by it, and how steady the machine was."""

from typing import TypeGuard

from isobatch.pipeline.compare.statistics import call_time
from isobatch.pipeline.decide import recommend
from isobatch.pipeline.decide.choice import clearly_less_error
from isobatch.pipeline.decide.contenders import is_reference, standings
from isobatch.pipeline.decide.race import LOOKS
from isobatch.pipeline.decide.repaired_variants import with_repairs
from isobatch.pipeline.records.study import Against, Contestant, RaceShown, Recommendation, Study, UpperLimit
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Bullets, Code, Column, Line, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section
from isobatch.reports.speeds import BY_PASSES, chosen_throughput, no_faster, shows_loss

_STANDING = {"leader": "the fastest", "as-fast": "not measurably slower", "undecided": "undecided", "slower": "slower"}
_BY = {
    "only-candidate": "the demands, which no other meets",
    "speed": "speed",
    "stability": "stability, among the fastest",
    "accuracy": "accuracy, among the fastest",
    "size": "size, among the fastest",
    "passes": BY_PASSES,
}


def as_good(decided: Recommendation) -> str:
    """What the headline adds where the choice is not sure, with the other's N where that is another; else empty."""
    if not decided.runner_up:
        return ""
    n = decided.runner_up_batch_size
    other = decided.runner_up + ("" if n in (None, decided.batch_size) else f" at N = {n}")
    if _too_short(decided):
        return f"; the race was too short to tell it from {other}"
    return f"; {other} is as good" if recommend.as_good(decided) else ""


def _too_short(decided: Recommendation) -> bool:
    """Whether there was a race, and of too few rounds to say how sure the choice is."""
    return _prices(decided.race) and decided.sureness is None and 0 < decided.race.rounds < LOOKS[0]


def _prices(race: RaceShown | None) -> TypeGuard[RaceShown]:
    """Whether there was a race, and its calls price the candidates under this policy."""
    return race is not None and bool(race.standings)


def in_short(study: Study) -> str:
    """What decided, the runner-up, how sure it is and how the race went, on one line; empty without a choice."""
    decided = study.recommendation
    if decided is None or decided.chosen is None:
        return ""
    parts = [f"Decided by {_by(study, decided)}"]
    if decided.runner_up:
        parts.append(f"runner-up {decided.runner_up}{_ratio(decided)}")
    if decided.sureness:
        parts.append(f"sureness {numbers.percent(decided.sureness.share, 0)}")
    if _prices(race := decided.race):
        few = f" of the {LOOKS[0]} that say how sure it is" if decided.runner_up and _too_short(decided) else ""
        rounds = [] if decided.decided_by == "passes" else [numbers.counted(race.rounds, "round") + few]
        if told := rounds + ["timings are unsteady"] * race.unsteady:
            parts.append(", ".join(told))
    else:
        parts.append("the race does not price this policy" if race else "no race was run")
    return "; ".join(parts) + "."


def _by(study: Study, decided: Recommendation) -> str:
    """What decided, in words."""
    if decided.policy.objective == "size" and decided.decided_by == "size":
        return "size"
    if decided.decided_by == "passes" and _prices(decided.race):
        return "times seen while outputs were gathered, as no other candidate was raced to the end"
    error = f"less error against {views.reference(study)}"
    if (chosen := views.choice(study)) and is_reference(chosen, with_repairs(study.variants)):
        error = "the reference's own outputs"
    if decided.decided_by == "error":
        return f"{error}, among the fastest"
    return f"{_BY[decided.decided_by or 'speed']}{f' and {error}' if _has_less_error(study, decided) else ''}"


def _has_less_error(study: Study, decided: Recommendation) -> bool:
    """Whether the fastest would be chosen before its runner-up by its error too, were that one as fast."""
    shown = decided.race.standings.get(decided.runner_up or "") if decided.race else None
    if decided.decided_by != "speed" or shown in (None, "slower"):
        return False
    by = {contender.name: contender for contender in standings(study.variants, decided.policy, study.race).contenders}
    pair = by.get(decided.chosen or ""), by.get(decided.runner_up or "")
    return pair[0] is not None and pair[1] is not None and clearly_less_error(pair[0], pair[1])


def _ratio(decided: Recommendation) -> str:
    """The runner-up's time over that of the fastest."""
    ratio = decided.race.ratios.get(decided.runner_up or "") if decided.race else None
    return "" if ratio is None else f", {numbers.ratio(ratio.median)} the time"


def price_line(study: Study) -> Line:
    """What the choice costs against the fastest candidate, and what it gains over the reference precision."""
    chosen, decided = chosen_throughput(study), study.recommendation
    if decided is None or chosen is None:
        return line("Unknown: the throughput of the chosen variant was not measured.")
    own = f"{numbers.throughput(chosen.interval)} at N = {chosen.batch_size}"
    paid, gained = decided.price_of_stability, decided.speed_up
    if paid is None or not shows_loss(paid):
        text = line(f"Nothing: {no_faster(decided)} than its {own}.")
    else:
        state = views.shipped_state(study, paid.variant)
        kind = f", which is {state}" if state else ""
        lost = numbers.percent(1 - paid.ratio.median, 0)
        small = " as small" if decided.policy.objective == "size" else ""
        text = line(
            f"{_about(paid)}{lost} less throughput than the fastest{small}, ", Code(paid.variant), f"{kind}: {own}."
        )
    if gained is None:
        return text
    times = numbers.ratio(gained.ratio.median)
    return text + line(f" {_about(gained)}{times} the throughput of ", Code(gained.variant), ".")


def _about(against: Against) -> str:
    return "" if against.raced else "About "


def _row(contestant: Contestant, decided: Recommendation) -> Row:
    shown = decided.race
    standing = shown.standings.get(contestant.variant) if shown else None
    ratio = shown.ratios.get(contestant.variant) if shown else None
    timed = call_time(contestant.more_s or contestant.call_s)
    stands = _STANDING[standing] if standing else "no candidate" if _prices(shown) else None
    return {
        Column("Contestant", "name"): contestant.variant,
        Column("N", "number"): numbers.count(contestant.batch_size),
        Column("Time over the fastest's", "number"): numbers.known(ratio, numbers.times),
        Column("It is"): f"dropped: {contestant.dropped}" if contestant.dropped else stands,
        Column("A call: median", "number"): _upper(timed.median) if timed else None,
        Column("p95", "number"): _upper(timed.p95) if timed else None,
        Column("p99", "number"): _upper(timed.p99) if timed else None,
        Column("Calls", "number"): numbers.count(timed.n) if timed else None,
        Column("Peak memory", "number"): numbers.known(contestant.peak_memory_bytes, numbers.size),
        Column("Time to load", "number"): numbers.known(contestant.load_s, numbers.seconds),
    }


def _upper(seen: UpperLimit) -> str | None:
    if seen.value is None or seen.upper95 is None:
        return "undecided"
    return f"{numbers.milliseconds(seen.value)} (at most {numbers.milliseconds(seen.upper95, 'up')})"


def _sure(decided: Recommendation) -> str:
    if decided.sureness is None:
        return ""
    share, made = numbers.percent(decided.sureness.share, 0), f"{decided.sureness.resamples:,}"
    return f" Of {made} resamples of the rounds {share} lead to the same choice."


def blocks(study: Study) -> list[Block]:
    """How it was run, one row a contestant, and who was left out."""
    race, decided = study.race, study.recommendation
    if race is None and "race" in study.pending:
        return [Absent(line(f"No race: {views.not_yet(study)}."))]
    if race is None:
        return [Absent(line("No race was run: costs are the times seen while evidence was gathered, for orientation."))]
    if decided is None:
        return [Absent(line(f"The race was run, and decided nothing: {views.not_yet(study)}."))]
    steady = "timings are unsteady" if race.unsteady else f"{race.disturbed} disturbed"
    rounds = f"{numbers.counted(race.rounds, 'round')} in {numbers.seconds(race.seconds)}"
    how = (
        f"{rounds}, {steady}.{_sure(decided)} A round is one call of each contestant, in random "
        "order, at the N that was best for it in calls before the race; all others are stopped meanwhile. A round is "
        "disturbed if its threads waited for a core for more than 5 % of a call, or the host took time; it is repeated."
    )
    caption = (
        "Time an image over that of the fastest candidate, with limits that hold at all looks together with 95 %. "
        "Percentiles of calls with distribution-free 95 % upper limits; p95 needs 59 calls and p99 needs 299."
    )
    page: list[Block] = [
        Paragraph(line(how)),
        table_of(caption, (_row(contestant, decided) for contestant in race.contestants)),
    ]
    if race.left_out:
        page.append(Bullets(tuple(line(f"Not raced: {r.variant}: {r.why}.") for r in race.left_out)))
    return page


SECTION = Section(order=41, title="The race", show="folded", write=blocks)
