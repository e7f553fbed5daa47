"""The committed sample: what a reader sees first, held to today's code."""

import json
from pathlib import Path

import jsonschema

from isobatch.pipeline.decide.recommend import recommend
from isobatch.reports.files.json_report import load_study
from isobatch.reports.files.markdown import markdown_report
from isobatch.reports.sections import write_all
from tests.reports.studies import html_report

SAMPLE = Path(__file__).resolve().parents[2] / "reports" / "sample"


def test_the_sample_is_valid_small_and_names_no_place() -> None:
    text = (SAMPLE / "report.json").read_text()
    jsonschema.validate(json.loads(text), json.loads((SAMPLE.parent / "schema.json").read_text()))
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 1_000_000
    assert not any(place in text for place in ("/tmp/", "/home/", "/root/", "/Users/"))


def test_the_sample_is_drawn_whole_and_decided_again_with_its_race_and_without() -> None:
    study = load_study(SAMPLE)
    assert len(study.variants) == 13
    assert {"answer", "overview", "origins", "repairs"} <= {section.name for section in write_all(study)}
    assert study.recommendation is not None
    raced = recommend(study.variants, study.recommendation.policy, study.race)
    assert raced.chosen == study.recommendation.chosen and raced.sureness is not None
    again = recommend(study.variants, study.recommendation.policy)
    assert again.chosen and (again.decided_by, again.race, again.sureness) == ("passes", None, None)
    assert any(text.startswith("No race was run") for text in again.warnings)
    assert f"{study.recommendation.chosen}" in html_report(study)
    assert f"{study.recommendation.chosen}" in markdown_report(study)
