"""``compare`` as a CI system meets it: its files, its exit code, what it prints."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import run
from isobatch.pipeline.records.study import Study
from isobatch.pipeline.tools.two_runs.records import Change, RunComparison, RunNamed, SetCompared
from isobatch.reports.files.json_report import study_json
from isobatch.reports.files.junit import comparison_junit
from isobatch.reports.files.markdown import MAX_BYTES
from isobatch.reports.pages.run_comparison import comparison_json, comparison_markdown
from tests.reports import studies
from tests.reports.payloads import PAYLOADS


def saved(folder: Path, study: Study) -> str:
    folder.mkdir()
    (folder / "report.json").write_text(study_json(study))
    return str(folder)


def worse(study: Study) -> Study:
    """The study in which ort-int8 can no longer be had and fp32 has become batch-variant."""
    changed = []
    for variant in study.variants:
        if variant.name == "ort-int8":
            variant = studies.MISSING.model_copy(update={"name": "ort-int8", "reason": "gone\x1b[31m"})
        if variant.name == "fp32":
            verdicts = [
                set_verdict.model_copy(update={"verdict": "batch-variant"}) for set_verdict in variant.by_inputs
            ]
            variant = variant.model_copy(update={"verdict": "batch-variant", "by_inputs": verdicts})
        changed.append(variant)
    return study.model_copy(update={"variants": changed})


def cases(xml: bytes) -> dict[str, ElementTree.Element]:
    """The test cases by name, the structure held to what CI systems read."""
    root = ElementTree.fromstring(xml)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    for tag in ("failure", "skipped"):
        count = len(suite.findall(f"testcase/{tag}"))
        assert suite.get({"failure": "failures"}.get(tag, tag)) == root.get({"failure": "failures"}.get(tag, tag))
        assert suite.get({"failure": "failures"}.get(tag, tag)) == str(count)
    assert suite.get("tests") == str(len(suite)) and suite.get("errors") == "0"
    for case in suite:
        assert case.tag == "testcase" and case.get("classname") and case.get("name") and case.get("time")
        assert {child.tag for child in case} <= {"failure", "skipped", "system-out"}
        for failure in case.findall("failure"):
            assert failure.get("message") and failure.get("type")
    found = {f"{case.get('classname')}/{case.get('name')}": case for case in suite}
    assert len(found) == len(suite)
    return found


def test_the_same_run_twice_ends_in_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(tmp_path / "a", studies.full())
    assert run.main(["compare", folder, folder]) == 0
    said = capsys.readouterr().out
    assert "No regression" in said
    assert "Environment and configuration are the same in both runs." in said
    assert "A and B are the same run" in said


def test_a_regression_ends_in_one_and_is_in_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = saved(tmp_path / "a", studies.full()), saved(tmp_path / "b", worse(studies.full()))
    xml, markdown = tmp_path / "ci" / "junit.xml", tmp_path / "summary.md"
    assert run.main(["compare", *folders, "--junit", str(xml), "--markdown", str(markdown)]) == 1
    assert "3 regressions" in capsys.readouterr().out
    test_cases = cases(xml.read_bytes())
    failed = {name for name, case in test_cases.items() if case.find("failure") is not None}
    assert failed == {"fp32/seed", "fp32/digits", "ort-int8/all inputs"}
    text = markdown.read_text()
    assert "❌ **3 regressions" in text and "fp32: verdict top1-stable → batch-variant" in text
    assert "\x1b" not in text and b"\x1b" not in xml.read_bytes()


def test_json_is_the_only_thing_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = saved(tmp_path / "a", studies.strange()), saved(tmp_path / "b", studies.strange())
    assert run.main(["compare", *folders, "--json"]) == 0
    content = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"not strict JSON: {name}"))
    assert (content["schema_version"], content["regressed"]) == (1, False)


def test_runs_that_cannot_be_compared_end_in_two_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = studies.small()
    other = one.model_copy(update={"weights": one.weights.model_copy(update={"sha256": "ff" * 32})})
    xml = tmp_path / "junit.xml"
    folders = saved(tmp_path / "a", one), saved(tmp_path / "b", other)
    assert run.main(["compare", *folders, "--junit", str(xml)]) == 2
    assert capsys.readouterr().err.startswith("error [incomparable-runs]: ")
    assert not xml.exists()


def hostile(count: int) -> RunComparison:
    texts = [PAYLOADS[at % len(PAYLOADS)] + f" {at} \x00\ud800" for at in range(count)]
    return RunComparison(
        a=RunNamed(run_id=texts[0], created_utc=texts[1], tool_version="0"),
        b=RunNamed(run_id=texts[2], created_utc=texts[3], tool_version="0"),
        differences=[],
        left_out=[],
        sets=[
            SetCompared(
                variant=text,
                inputs=text,
                verdict_a="top1-stable",
                verdict_b=None,
                same_bytes=None,
                n_outputs=0,
                n_equal=0,
                notes=(text,),
            )
            for text in texts
        ],
        changes=[Change(kind="regression", what="x", a=text, b=text, variant=text, note=text * 20) for text in texts],
    )


def test_a_regression_on_a_set_that_was_not_compared_is_a_failure_too() -> None:
    lost = [
        Change(kind="regression", what="verdict", a="batch-invariant", b="none", variant=variant, inputs="elsewhere")
        for variant in ("fp32", None)
    ]
    test_cases = cases(comparison_junit(hostile(4).model_copy(update={"sets": [], "changes": lost})))
    assert {name: case.find("failure") is not None for name, case in test_cases.items()} == {
        "fp32/elsewhere": True,
        "run/elsewhere": True,
        "run/policy": False,
    }


def test_hostile_text_breaks_no_format() -> None:
    hostile_comparison = hostile(len(PAYLOADS))
    assert len(cases(comparison_junit(hostile_comparison))) == 2 * len(PAYLOADS) + 1
    assert json.loads(comparison_json(hostile_comparison))["regressed"] is True
    text = re.sub(
        r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", comparison_markdown(hostile_comparison)
    )  # within code nothing is markup
    assert "<script" not in text and "<img" not in text and "\x00" not in text and not re.search(r"(?<!\\)\]\(", text)


def test_markdown_fits_a_comment_however_much_changed() -> None:
    assert len(comparison_markdown(hostile(3000)).encode()) <= MAX_BYTES
