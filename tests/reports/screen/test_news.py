"""What the screen says after a stage: each thing once, and only what is known by then."""

import pytest

from isobatch.pipeline.records.study import Agreement, Study
from isobatch.reports.screen.news import News
from tests.reports import studies


def without(study: Study, race: bool, **fields: None) -> Study:
    variants = [variant.model_copy(update=fields) for variant in study.variants]
    return study.model_copy(update={"variants": variants} | ({} if race else {"race": None}))


def test_each_stage_says_what_it_found_and_says_it_once() -> None:
    known, news = studies.full(), News()
    agreed = Agreement(share=0.99, low95=0.98, high95=1.0, n=400, n_answers=400, reference="fp64")
    known = known.model_copy(
        update={"variants": [v.model_copy(update={"agreement": agreed}) for v in known.variants], "reference": "fp64"}
    )
    assert news.of(without(known, False, agreement=None, accuracy=None, origins=None)) == []
    answers = news.of(without(known, False, origins=None))
    assert [text.split(":")[0] for text in answers] == ["agreement with fp64", "top-1 accuracy"]
    assert answers[1].endswith(" examples") and " % (" in answers[1] and " to " in answers[1]
    origins = news.of(without(known, False))
    assert origins and all(": the difference starts in " in text for text in origins)
    assert any("; repaired as fp32+" in text for text in origins)
    (race,) = news.of(known)
    assert race.startswith(f"race over {known.race and known.race.rounds} rounds, img/s: ")
    speeds = [float(part.split()[-1]) for part in race.split("img/s: ")[1].split(";")[0].split(", ")]
    assert len(speeds) > 1 and speeds == sorted(speeds, reverse=True)
    assert news.of(known) == []


@pytest.mark.parametrize("study", [studies.empty(), studies.broken(), studies.strange(), studies.unasked()])
def test_it_says_nothing_wrong_of_studies_without_results(study: Study) -> None:
    assert all(text and "None" not in text for text in News().of(study))
