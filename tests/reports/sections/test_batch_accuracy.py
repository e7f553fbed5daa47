"""What is said of accuracy and batch size, on the terminal, in the section, and again from a stored run."""

import io
from pathlib import Path

import pytest

import run
from isobatch.pipeline.compare.accuracy_by_batch_size import decided_again
from isobatch.reports.blocks import Absent, Table
from isobatch.reports.files.json_report import load_study, study_json
from isobatch.reports.screen.terminal import print_summary
from isobatch.reports.sections.batch_accuracy import sentence
from tests.reports import studies
from tests.reports.sections.test_sections import words, written


def test_the_sentence_gives_a_bound_even_where_nothing_changed_and_the_worst_first() -> None:
    said = words(sentence(studies.full()) or ())
    assert said.startswith("Undecided for bf16, int8-x86, int8-onednn and 2 more (against ±2 points: ")
    assert "2 of 15 top-1 changed, at most 37 %; accuracy -12.5 points (-57.6 to +42.1) with bf16 at N = 8)" in said
    assert said.endswith(
        "; no change seen in 15 images, too few to say for fp32, fp16, int8-fbgemm and 4 more (at most 19 % of images "
        "change at some tested N, with 95 % confidence)."
    )


def test_one_line_of_it() -> None:
    said = words(sentence(studies.full(), brief=True) or ())
    assert said == "5 variants: undecided; 7: no change seen in 15 images, too few to say."
    said = words(sentence(decided_again(studies.full(), 60.0), brief=True) or ())
    assert said == "5 variants: within ±60 points; 7: no, no change seen in 15 images."


@pytest.mark.parametrize(("margin", "begin"), [(0.5, "Undecided for bf16"), (60.0, "Within ±60 points for")])
def test_a_stored_study_is_decided_again(margin: float, begin: str) -> None:
    again = decided_again(studies.full(), margin)
    assert words(sentence(again) or ()).startswith(begin)
    assert again.recommendation is not None and again.recommendation.policy.equivalence_margin == margin


def test_render_takes_a_margin_and_writes_the_decision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.json").write_text(study_json(studies.small()))
    run.main(["render", str(tmp_path), "--equivalence-margin", "3"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Does accuracy depend on N? 2 variants: no change seen in 15 images, too few to say." in said
    (found,) = load_study(tmp_path).variants[1].batch_accuracy or ()
    assert (found.margin_points, found.depends) == (3.0, "undecided")


def test_what_cannot_be_used_is_not_judged() -> None:
    assert "not judged: invalid" in [
        row[2] for row in next(b for b in written("batch_accuracy", studies.strange()) if isinstance(b, Table)).rows
    ]
    usable = words(sentence(studies.strange()) or ())
    assert "poisoned" not in usable and "shaky" not in usable


def test_without_labels_nothing_is_said() -> None:
    study = studies.full()
    bare = study.model_copy(
        update={"variants": [v.model_copy(update={"batch_accuracy": None}) for v in study.variants]}
    )
    assert sentence(bare) is None and isinstance(written("batch_accuracy", bare)[0], Absent)
    stream = io.StringIO()
    print_summary(bare, {}, stream, verbose=False)
    assert "Does accuracy depend" not in stream.getvalue()
