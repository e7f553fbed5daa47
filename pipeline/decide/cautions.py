"""The warnings of a recommendation: what its times, its limits and its range leave open."""

from collections.abc import Sequence

from isobatch.pipeline.decide.batch_size import NEAR
from isobatch.pipeline.decide.choice import Choice
from isobatch.pipeline.decide.contenders import Standings
from isobatch.pipeline.decide.policy import DEFAULT_MAX_DROP_POINTS, price
from isobatch.pipeline.decide.ranges import range_warnings
from isobatch.pipeline.decide.reasons import eligible, in_passes, raced_instead
from isobatch.pipeline.records.study import Policy, VariantResult
from isobatch.pipeline.records.wording import counted, limit_points, listed

_NO_RACE = (
    "No race was run: the times are those seen while evidence was gathered, which are not comparable closely. "
    "Which of the fastest is the fastest is not known."
)

_OTHER_RACE = (
    "The race of this run does not price this policy: its calls were at another N. The times are those seen while "
    "evidence was gathered."
)
_UNRACED = (
    "No candidate under this policy was in the race of this run. The times are those seen while evidence was gathered."
)


def cautions(chosen: VariantResult, standings: Standings, choice: Choice) -> list[str]:
    """What to bear in mind about the choice, a sentence each."""
    policy, race = standings.policy, standings.race
    warnings = no_limit(policy, standings.every)
    if choice.ratios is None and choice.decided_by == "passes":
        warnings.append(_NO_RACE if race is None else _UNRACED if standings.raced else _OTHER_RACE)
    if choice.ratios is None:
        warnings += _limits_by_passes(policy)
        if (paid := price(chosen.cost, policy)) and paid.timed_once:
            once = "was measured by a single call: what is not measurably slower cannot be told."
            warnings.append(f"The cost of {chosen.name} {once}")
    warnings += range_warnings(chosen.range) or _not_verified(chosen, standings.every)
    if race is not None and race.unsteady and choice.ratios is not None:
        warnings.append(
            f"Timings are unsteady: other programs took time from {race.disturbed} rounds of the race. "
            "The choice may be another one on a quiet machine."
        )
    if choice.ratios is not None and choice.ratios.resampled is None and len(choice.raced) > 1:
        few = counted(choice.ratios.rounds, "round")
        warnings.append(f"The race had {few} only, too few to say who is faster: give it more with --race-seconds.")
    return [*warnings, *_new_rivals(standings, choice), *_of_one_moment(chosen, standings.every)]


def no_limit(policy: Policy, variants: Sequence[VariantResult]) -> list[str]:
    """A warning where accuracy was measured and the policy has no limit on its drop; else nothing."""
    if policy.max_accuracy_drop is not None or all(variant.accuracy is None for variant in variants):
        return []
    limit = limit_points(DEFAULT_MAX_DROP_POINTS)
    return [f"No limit on the accuracy drop is set: only one that certainly exceeds {limit} counts."]


def _limits_by_passes(policy: Policy) -> list[str]:
    """A warning where a limit on time was judged by times that are orientation."""
    flags = {"--max-latency-ms": policy.max_latency_ms, "--min-throughput": policy.min_throughput_img_s}
    asked = [flag for flag, limit in flags.items() if limit is not None]
    return [f"{listed(asked)} was judged by these times too: a study with this policy decides it."] if asked else []


def _not_verified(chosen: VariantResult, every: Sequence[VariantResult]) -> list[str]:
    """A warning where another one was verified at every N, as it was the choice then, and this one was not."""
    verified = [variant.name for variant in every if variant.range is not None]
    if chosen.range is not None or not verified or chosen.verdict not in ("batch-invariant", "top1-stable"):
        return []
    return [
        f"{chosen.name} was not verified at every N, as {listed(verified)} was: a study with this policy does it, and "
        "deploy at every N that it ships."
    ]


def _new_rivals(standings: Standings, choice: Choice) -> list[str]:
    """A warning where candidates that were none when the race was run were not clearly slower in the passes."""
    if standings.race is None or choice.ratios is None:
        return []
    known = {*choice.raced, *(rejection.variant for rejection in standings.race.left_out)}
    near = [
        contender.name
        for contender in eligible(standings)
        if contender.name not in known and not raced_instead(contender.name, known)
        if (times := in_passes(contender.name, choice.chosen, standings)) is not None and times < NEAR
    ]
    if not near:
        return []
    return [f"No candidate when the race was run, and so not raced: {listed(near)}. A study with this policy does it."]


def _of_one_moment(chosen: VariantResult, variants: Sequence[VariantResult]) -> list[str]:
    """A warning where the network gave other bytes for the same call elsewhere: an exported file may hide that."""
    if not (strange := [v.name for v in variants if v.verdict == "not-repeatable"]):
        return []
    return [
        f"The same call of {listed(strange)} gave other bytes the second time. Where the network itself draws numbers "
        f"or keeps something between calls (dropout, a counter, a cache), {chosen.name} holds it as it was at one "
        "moment: mend the network first."
    ]
