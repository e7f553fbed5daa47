"""The choice under the policy: why this one, why not each other one, ties, and the Pareto set."""

from isobatch.pipeline.decide.policy import describe
from isobatch.pipeline.decide.ranges import range_details, range_words
from isobatch.pipeline.records.study import ParetoPoint, Recommendation, Study
from isobatch.pipeline.records.wording import clause
from isobatch.reports import numbers, views
from isobatch.reports.blocks import (
    Block,
    Bullets,
    Column,
    Heading,
    Line,
    Link,
    Listing,
    Paragraph,
    Row,
    Table,
    line,
    table_of,
)
from isobatch.reports.sections import Section
from isobatch.reports.sections.answer import headline
from isobatch.reports.sections.race import in_short
from isobatch.reports.speeds import roughly


def _pareto_row(point: ParetoPoint, beside_race: bool) -> Row:
    """``beside_race``: some of the times in the table are the race's, and those of the passes are marked."""
    single = "~" if beside_race else ""
    several = "" if point.raced else single
    return {
        Column("Variant", "name"): point.variant,
        Column("Verdict", "state"): point.verdict,
        Column("Throughput", "number"): numbers.known(
            point.throughput_img_s, lambda rate: f"{several}{numbers.rate(rate)} img/s"
        ),
        Column("Latency, N = 1", "number"): numbers.known(
            point.latency_ms, lambda latency: f"{single}{numbers.milliseconds(latency)}"
        ),
        Column("Size", "number"): numbers.size(point.size_bytes),
        Column("Top-1", "number"): numbers.known(point.accuracy, numbers.percent),
    }


def _pareto(study: Study, recommendation: Recommendation) -> list[Block]:
    """The table of the Pareto set; nothing where that holds the choice alone."""
    names = [point.variant for point in recommendation.pareto]
    if not set(names) - {recommendation.chosen}:
        return []
    chosen = names.index(recommendation.chosen) if recommendation.chosen in names else None
    unknown = len({point.accuracy is None for point in recommendation.pareto}) == 2
    caption = "The Pareto set: no other variant beats one of these in accuracy, cost and stability at once."
    caption += " An unknown top-1 counts as the lowest." if unknown else ""
    beside_race = study.race is not None
    caption += f" ~: {roughly(study)}." if beside_race else ""
    return [
        Heading("Worth considering under another policy"),
        table_of(caption, (_pareto_row(point, beside_race) for point in recommendation.pareto), chosen),
    ]


def _chapter(study: Study) -> str:
    """Where the evidence of the choice's bytes is."""
    choice = views.choice(study)
    if choice is None:
        return "overview"
    return "repairs" if views.is_repaired(choice) else views.anchor(choice.name)


def _because(study: Study, decided: Recommendation) -> tuple[Line, ...]:
    """The reasons, each after what it rests on, a link to that; a run of an earlier version says it of none."""
    rests_on = decided.because_rests_on or ["other"] * len(decided.because)
    places = {
        "bytes": _chapter(study),
        "answers": "overview",
        "accuracy": "accuracy",
        "cost": "race" if decided.race else "costs",
    }
    leads: list[Line] = [(Link(on.capitalize(), places[on]), ": ") if on in places else () for on in rests_on]
    return tuple(line(*lead, *views.named(study, text)) for lead, text in zip(leads, decided.because, strict=True))


def blocks(study: Study) -> list[Block]:
    """Reasons, rejections, ties and the Pareto set; a remark where nothing was decided."""
    decided = study.recommendation
    if decided is None:
        return [Paragraph(line(f"No recommendation was made: {views.not_yet(study)}."))]
    policy = f" Policy: {describe(decided.policy)}." if decided.chosen or decided.withheld else ""  # a reason says it
    page: list[Block] = [Paragraph((*headline(study), f".{policy}"))]
    if raced := in_short(study):
        page.append(Paragraph(views.named(study, raced)))
    if decided.range is not None:
        page.append(Paragraph(line(f"Verified: {clause(range_words(decided.range))}. {range_details(decided.range)}")))
    if decided.because:
        page.append(Bullets(_because(study, decided)))
    page += [Paragraph(views.named(study, tie)) for tie in decided.ties]
    if decided.rejected:
        columns = (Column("Variant", "name"), Column("Why not"))
        rows = tuple((rejected.variant, rejected.why) for rejected in decided.rejected)
        title, every = ("Why not the others", "Every other") if decided.chosen else ("Why none of them", "Every")
        page += [Heading(title), Table(f"{every} variant, with the reason.", columns, rows)]
    page += _pareto(study, decided)
    if decided.would_change:
        changes = Bullets(tuple(views.named(study, change) for change in decided.would_change))
        page += [Heading("What would change the choice"), changes]
    if decided.deploy:
        page += [Heading("Deploying it"), Listing(decided.deploy)]
    return page


SECTION = Section(order=40, title="Why, and why not the others", show="first", write=blocks)
