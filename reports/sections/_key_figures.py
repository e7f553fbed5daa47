"""The numbers of the first screen: what stability, speed, accuracy and price the choice has, each with its evidence."""

from isobatch.pipeline.decide import agreement
from isobatch.pipeline.decide.policy import describe
from isobatch.pipeline.decide.ranges import range_words
from isobatch.pipeline.records.study import Policy, Recommendation, Study, VariantResult
from isobatch.pipeline.records.wording import counted_comparisons
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Code, KeyFigure, Line, Link, Tone, line
from isobatch.reports.speeds import BY_PASSES, no_faster

_STABLE: dict[str, tuple[str, Tone]] = {
    "batch-invariant": ("= yes, byte for byte", "good"),
    "top1-stable": ("≈ same answers, other bytes", "caution"),
    "batch-variant": ("≠ no", "bad"),
}
_AGREES: dict[agreement.AgreementDecision, Tone] = {"met": "good", "undecided": "caution", "missed": "bad"}
_BATCHED = ("batch-vs-singles", "position", "neighbours", "copies")


def key_figures(study: Study) -> tuple[KeyFigure, ...]:
    """Stability, speed, agreement, accuracy and price of what is recommended; empty where nothing is."""
    choice = views.choice(study)
    if choice is None:
        return ()
    figures = (
        _stability(study, choice),
        _speed(study),
        _agreement(study, choice),
        _accuracy(study, choice),
        _price(study),
    )
    return tuple(figure for figure in figures if figure is not None)


def reason(study: Study) -> Line:
    """Why this one: what its user gets, or else the first reason given; then the policy, and the ties."""
    choice, decided = views.choice(study), study.recommendation
    if choice is None or decided is None:
        return ()
    gets = "an image gets the same output bytes alone and in every tested batch"
    asked = line(" Policy: ", Link(describe(decided.policy), "recommendation"), f".{_ties(decided)}")
    if choice.verdict == "batch-invariant" and views.is_repaired(choice):
        repair = views.repair_of(study, choice.name)
        if not repair.layers:
            return line("With the repair ", Link(repair.name, "repairs"), f", {gets}.", *asked)
        layers = Link(numbers.counted(repair.layers, "layer"), "repairs")
        return line("With ", layers, f" put in one fixed shape, {gets}.", *asked)
    if choice.verdict == "batch-invariant":
        return line(f"{gets[:1].upper()}{gets[1:]}.", *asked)
    return (*views.named(study, decided.because[0] if decided.because else ""), *asked)


def _ties(decided: Recommendation) -> str:
    """Who else is as fast; what decided among them stands on the line below."""
    if not decided.ties:
        return ""
    count = len(decided.ties)
    others = "1 other variant is" if count == 1 else f"{count} other variants are"
    alike = ", and not clearly better in accuracy, error or size" if decided.decided_by == "speed" else ""
    return f" {others} not measurably slower{alike}."


def _verified(study: Study) -> str:
    """The range over which the choice was verified, as the end of a remark; empty where it was not."""
    verified = study.recommendation.range if study.recommendation else None
    return f". {range_words(verified)}" if verified else ""


def _stability(study: Study, choice: VariantResult) -> KeyFigure:
    label, verified = "Same answer in any batch?", _verified(study)
    unknown: tuple[str, Tone] = (choice.verdict or "not known", "bad")
    word, tone = _STABLE.get(choice.verdict or "", unknown)
    if views.is_repaired(choice):
        remark = f"{views.repair_of(study, choice.name).scope}{verified}"
        return KeyFigure(label, word, "repairs", line(remark), tone)
    made = [comparison for comparison in choice.comparisons if comparison.kind in _BATCHED]
    same = sum(comparison.bitwise_equal for comparison in made)
    sizes = numbers.batch_sizes(comparison.batch_size for comparison in made)
    n = sum(verdict.n_images for verdict in choice.by_inputs)
    ran = f"{same} of {counted_comparisons(len(made))} bit-equal; {numbers.counted(n, 'image')}, N = {sizes}"
    remark = f"{ran if made else 'no batch was run'}{verified}"
    return KeyFigure(label, word, views.anchor(choice.name), line(remark), tone)


def _speed(study: Study) -> KeyFigure:
    speed, decided = speeds.chosen_throughput(study), study.recommendation
    if speed is None:
        return KeyFigure("Speed", "not measured", "costs", ())
    interval, place = speed.interval, "race" if decided and decided.at_work else "costs"
    calls = "timed once" if interval.n == 1 else numbers.counted(interval.n, "call")
    limits = f"95 % limits{numbers.throughput_limits(interval)}, " if interval.low95 is not None else ""
    remark = f"at N = {speed.batch_size}, {limits}{calls}"
    if decided and (gained := decided.speed_up):
        about = "" if gained.raced else "about "
        remark += f"; {about}{numbers.ratio(gained.ratio.median)} that of {gained.variant}"
    return KeyFigure("Speed", numbers.throughput(interval), place, line(remark))


def _agreement(study: Study, choice: VariantResult) -> KeyFigure | None:
    """How often it gives the reference's answer; None for the reference itself."""
    label = f"Same answer as {views.reference(study)}?"
    if choice.name == study.reference:
        return None
    if (record := choice.agreement) is None:
        return KeyFigure(
            label, "not measured", "overview", line(choice.agreement_note or "drawn inputs and raw outputs have none")
        )
    asked = study.recommendation.policy.min_agreement if study.recommendation else Policy().min_agreement
    tone = _AGREES[agreement.decide(record, asked)]
    remark = line(f"{agreement.bound(record)} (95 %); {record.counted}")
    return KeyFigure(label, agreement.count(record), "overview", remark, tone)


def _accuracy(study: Study, choice: VariantResult) -> KeyFigure:
    accuracy, drop = choice.accuracy, choice.accuracy_drop
    if accuracy is None:
        return KeyFigure("Top-1 accuracy", "not measured", "accuracy", line(choice.accuracy_note or ""))
    parts = [f"on {numbers.counted(accuracy.n, 'labelled image')}"]
    if views.is_repaired(choice):
        parts.append("measured before the repair, which keeps every byte of its singles")
    if drop is not None:
        lost = f"{numbers.points(drop.value)}{' (a gain)' if drop.value < 0 else ''}"
        at_most = numbers.points(drop.upper95, "up")
        parts.append(f"accuracy drop against {views.baseline(study)} {lost}, at most {at_most} (95 %)")
    return KeyFigure("Top-1 accuracy", numbers.percent(accuracy.top1), "accuracy", line("; ".join(parts)))


def _price(study: Study) -> KeyFigure:
    label, target, decided = "Price of stability", "cost_and_stability", study.recommendation
    if decided is None or speeds.chosen_throughput(study) is None:
        return KeyFigure(label, "not known", target, line("it was not measured"))
    paid = decided.price_of_stability
    if paid is None:
        return KeyFigure(label, "none", target, line(no_faster(decided)), "good")
    against = views.shipped_state(study, paid.variant)
    kind = f", {against}" if against else ""
    if not speeds.shows_loss(paid):
        return KeyFigure(label, "none shown", target, line("against ", Code(paid.variant), f"{kind}"), "good")
    about = "" if paid.raced else f"; by {BY_PASSES}"
    lost = numbers.percent(1 - paid.ratio.median, 0)
    return KeyFigure(label, f"{lost} slower", target, line("against ", Code(paid.variant), f"{kind}{about}"), "caution")
