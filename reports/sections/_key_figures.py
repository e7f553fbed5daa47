"""The numbers of the first screen: what stability, speed, accuracy and price the choice has, each with its evidence."""

from __future__ import annotations

from isobatch.pipeline.decide import agreement
from isobatch.pipeline.decide.policy import describe
from isobatch.pipeline.records.study import Comparison, Policy, Study, VariantResult
from isobatch.reports import agreed, numbers, views
from isobatch.reports.blocks import Code, KeyFigure, Line, Link, Tone, line
from isobatch.reports.views import Repaired, Speed

_STABLE: dict[str, tuple[str, Tone]] = {
    "batch-invariant": ("= yes, byte for byte", "good"),
    "top1-stable": ("≈ same top-1, other bytes", "caution"),
    "batch-variant": ("≠ no", "bad"),
}
_AGREES: dict[agreement.Decision, Tone] = {"met": "good", "undecided": "caution", "missed": "bad"}
_BATCHED = ("batch-vs-singles", "position", "neighbours", "copies")


def key_figures(study: Study) -> tuple[KeyFigure, ...]:
    """Stability, speed, agreement, accuracy and price of what is recommended; empty where nothing is."""
    choice = views.choice(study)
    if choice is None:
        return ()
    found = (_stability(choice), _speed(study, choice), _agreement(study, choice), _accuracy(choice), _price(study))
    return tuple(one for one in found if one is not None)


def reason(study: Study) -> Line:
    """Why this one: what its user gets, or else the first reason given; then the policy, and the ties."""
    choice, decided = views.choice(study), study.recommendation
    if choice is None or decided is None:
        return ()
    gets = "an image gets the same output bytes alone and in every tested batch"
    asked = line(" Policy: ", Link(describe(decided.policy), "recommendation"), f".{_ties(decided.ties)}")
    if isinstance(choice, Repaired):
        layers = Link(numbers.number_of(choice.repair.layers, "layer"), "repairs")
        return line("With ", layers, f" put in one fixed shape, {gets}.", *asked)
    if choice.verdict == "batch-invariant":
        return line(f"{gets[:1].upper()}{gets[1:]}.", *asked)
    return (*views.named(study, decided.because[0] if decided.because else ""), *asked)


def _ties(ties: list[str]) -> str:
    if not ties:
        return ""
    tied = "1 other ties" if len(ties) == 1 else f"{len(ties)} others tie"
    return f" {tied} with it in cost; accuracy, then size, then table order decided."


def _batched(variant: VariantResult) -> list[Comparison]:
    return [one for one in variant.comparisons if one.kind in _BATCHED]


def _stability(choice: VariantResult | Repaired) -> KeyFigure:
    label = "Same answer in any batch?"
    if isinstance(choice, Repaired):
        return KeyFigure(label, _STABLE["batch-invariant"][0], "repairs", line(choice.repair.scope), "good")
    unknown: tuple[str, Tone] = (choice.verdict or "not known", "bad")
    word, tone = _STABLE.get(choice.verdict or "", unknown)
    made = _batched(choice)
    same = sum(one.bitwise_equal for one in made)
    sizes = numbers.batch_sizes(one.batch_size for one in made)
    n = sum(one.n_images for one in choice.by_inputs)
    compared = numbers.number_of(len(made), "batched comparison")
    remark = f"{same} of {compared} bit-equal; n = {n} images, N = {sizes}"
    return KeyFigure(label, word, views.anchor(choice.name), line(remark), tone)


def _speed(study: Study, choice: VariantResult | Repaired) -> KeyFigure:
    speed = views.best_throughput(choice)
    if speed is None:
        return KeyFigure("Speed", "not measured", "costs", ())
    interval = speed.interval
    limits = numbers.throughput_interval(interval).removeprefix(numbers.throughput(interval))
    remark = (
        f"at N = {speed.batch_size}, 95 % limits{limits}, n = {interval.n}"
        if limits
        else f"at N = {speed.batch_size}, timed once"
    )
    fp32 = views.best_throughput(views.find(study, "fp32"))
    if fp32 is not None and fp32.name != speed.name:
        remark += f"; {numbers.ratio(interval.median / fp32.interval.median)} that of fp32"
    return KeyFigure("Speed", numbers.throughput(interval), "costs", line(remark))


def _agreement(study: Study, choice: VariantResult | Repaired) -> KeyFigure | None:
    """How often it gives the reference's answer; None for the reference itself."""
    variant = choice.variant if isinstance(choice, Repaired) else choice
    label = f"Same answer as {agreed.ruler(study)}?"
    if variant.name == study.reference:
        return None
    if (found := variant.agreement) is None:
        return KeyFigure(label, "not measured", "overview", line(variant.agreement_note or "no natural image at hand"))
    asked = study.recommendation.policy.min_agreement if study.recommendation else Policy().min_agreement
    tone = _AGREES[agreement.decide(found, asked)]
    remark = line(f"{agreement.bound(found)} (95 %); {found.counted}")
    return KeyFigure(label, agreement.count(found), "overview", remark, tone)


def _accuracy(choice: VariantResult | Repaired) -> KeyFigure:
    variant = choice.variant if isinstance(choice, Repaired) else choice
    found, drop = variant.accuracy, variant.accuracy_drop
    if found is None:
        return KeyFigure("Top-1 accuracy", "not measured", "accuracy", line(variant.accuracy_note or ""))
    parts = [f"on {numbers.number_of(found.n, 'labelled image')}"]
    if isinstance(choice, Repaired):
        parts.append("measured before the repair")
    if drop is not None:
        change = f"{numbers.points(drop.value)} lost" if drop.value >= 0 else f"{numbers.points(-drop.value)} gained"
        parts.append(f"{change} against fp32, at most {numbers.points(drop.upper95)} lost (95 %)")
    return KeyFigure("Top-1 accuracy", numbers.percent(found.top1), "accuracy", line("; ".join(parts)))


def _price(study: Study) -> KeyFigure:
    label, target = "Price of stability", "cost_and_stability"
    chosen, fastest = views.chosen_throughput(study), views.best_throughput(views.fastest(study))
    if chosen is None or fastest is None:
        return KeyFigure(label, "not known", target, line("the throughput was not measured"))
    if fastest.name == chosen.name:
        n = numbers.number_of(len(views.candidates(study)), "measured variant")
        return KeyFigure(label, "none", target, line(f"it is the fastest of {n}"), "good")
    lost = 1 - chosen.interval.median / fastest.interval.median
    against = line(
        "against ", Code(fastest.name), f", {numbers.throughput(fastest.interval)}, {views.state(fastest.variant)}"
    )
    if lost <= 0:
        return KeyFigure(label, "none", target, (*against, "; it is no faster"), "good")
    tie = "; their 95 % limits overlap, so it is not shown to be slower" if _overlap(chosen, fastest) else ""
    return KeyFigure(label, f"{numbers.percent(lost, 0)} slower", target, (*against, tie), "caution")


def _overlap(one: Speed, other: Speed) -> bool:
    limits = (one.interval.low95, one.interval.high95, other.interval.low95, other.interval.high95)
    low, high, other_low, other_high = limits
    if low is None or high is None or other_low is None or other_high is None:
        return False
    return low <= other_high and other_low <= high
