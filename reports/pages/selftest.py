"""The self-test in blocks: every planted fault, what was named against what was planted, and the innocent."""

from isobatch.pipeline.tools.selftest.judge import Outcome, SelfTest
from isobatch.reports import numbers
from isobatch.reports.blocks import Block, Bullets, Code, Column, Line, Paragraph, Row, line, table_of


def blocks(test: SelfTest, verbose: bool) -> list[Block]:
    """The tables, and in ``verbose`` the evidence of every intervention."""
    page: list[Block] = []
    if test.outcomes:
        caption = f"Faults planted in small networks and in ResNet50, {test.threads} threads, seed {test.seed}"
        page.append(table_of(caption, map(_row, test.outcomes)))
    problems = [line(Code(outcome.fault.name), f": {outcome.why}.") for outcome in test.outcomes if outcome.why]
    page += [Bullets(tuple(problems))] if problems else []
    if verbose:
        page += [Bullets(tuple(evidence)) for outcome in test.outcomes if (evidence := _evidence(outcome))]
    return [*page, *_innocence(test), Paragraph(_summary(test))]


def _row(outcome: Outcome) -> Row:
    expected = [word for word in (outcome.fault.mechanism, outcome.fault.trigger) if word]
    named = outcome.examined is not None and outcome.fault.layer in outcome.examined.named
    words = ", ".join([outcome.mechanism, *outcome.triggers]) if named else None
    return {
        Column("Planted", "name"): outcome.fault.name,
        Column("In", "name"): outcome.fault.layer,
        Column("Must be named"): ", ".join(expected),
        Column("Named there"): words,
        Column("State", "state"): outcome.state,
    }


def _evidence(outcome: Outcome) -> list[Line]:
    explanation = outcome.examined and outcome.examined.explained
    causes = explanation.causes if explanation else ()
    return [line(Code(outcome.fault.name), f", {cause.name} {cause.verdict}: {cause.evidence}") for cause in causes]


def _innocence(test: SelfTest) -> list[Block]:
    if test.innocence_failed:
        return [Paragraph(line(f"The networks without a fault could not be checked: {test.innocence_failed}."))]
    if test.innocence is None:
        return []
    innocent = test.innocence
    said = (
        f"Of {numbers.count(innocent.trials)} networks without a fault ({numbers.count(innocent.layers)} layers of "
        f"random design, {numbers.count(innocent.tried)} elements compared) {numbers.count(len(innocent.accused))} "
        f"were accused: at most {numbers.percent(innocent.upper95, 2, 'up')} of such networks would be, with 95 % "
        "confidence."
    )
    accused = [line(f"seed {trial.seed}: {', '.join(trial.layers)}") for trial in innocent.accused]
    return [Paragraph(line(said)), *([Bullets(tuple(accused))] if accused else [])]


def _summary(test: SelfTest) -> Line:
    states = [outcome.state for outcome in test.outcomes]
    parts = [f"{states.count('found')} of {len(states)} planted faults found and named"]
    parts += [f"{states.count(state)} {state}" for state in ("missed", "not checked") if state in states]
    return line(f"{', '.join(parts)}.")
