"""Why this one: each reason and where its evidence is."""

from isobatch.reports.blocks import Bullets, Link
from isobatch.reports.sections import write_one
from tests.reports import studies
from tests.reports.sections.test_sections import words


def test_each_reason_leads_to_what_it_rests_on() -> None:
    study = studies.full()
    decided = study.recommendation
    assert decided is not None and decided.chosen is not None
    bullets = next(block for block in write_one("recommendation", study).blocks if isinstance(block, Bullets))
    leads = [item[0] for item in bullets.items]
    targets = {"bytes": f"variant-{decided.chosen}", "answers": "overview", "accuracy": "accuracy", "cost": "race"}
    assert leads == [Link(on.capitalize(), targets[on]) for on in decided.because_rests_on]
    assert [words(item) for item in bullets.items] == [
        f"{on.capitalize()}: {reason}" for on, reason in zip(decided.because_rests_on, decided.because, strict=True)
    ]
