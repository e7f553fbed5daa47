from xml.etree import ElementTree

import pytest

from isobatch.pipeline.records.study import Study
from isobatch.reports.files.junit import study_junit
from tests.reports import studies
from tests.reports.payloads import PAYLOADS, poisoned


def cases(study: Study) -> dict[tuple[str, str], ElementTree.Element]:
    suite = ElementTree.fromstring(study_junit(study))[0]
    found = {(case.attrib["classname"], case.attrib["name"]): case for case in suite}
    assert len(found) == len(suite) == int(suite.attrib["tests"])
    assert int(suite.attrib["failures"]) == len(suite.findall("*/failure"))
    return found


@pytest.mark.parametrize("name", list(studies.ALL))
def test_every_candidate_and_the_policy_have_a_case(name: str) -> None:
    study = studies.ALL[name]()
    named = {variant for variant, _ in cases(study)}
    assert named == {variant.name for variant in study.variants if variant.role == "candidate"} | {"run"}


def test_the_policy_fails_where_nothing_meets_it_and_no_variant_does() -> None:
    study = studies.full()
    assert study.recommendation is not None and study.recommendation.chosen
    assert not [key for key, case in cases(study).items() if case.find("failure") is not None]
    none = study.recommendation.model_copy(update={"chosen": None, "because": ["a", "b"]})
    failed = cases(study.model_copy(update={"recommendation": none}))
    assert [key for key, one in failed.items() if one.find("failure") is not None] == [("run", "policy")]


def test_verdicts_are_said_and_what_was_not_measured_is_skipped_with_its_reason() -> None:
    study = studies.full()
    test_cases = cases(study)
    for variant in study.variants:
        for set_verdict in variant.by_inputs or []:
            if variant.role == "candidate":
                said = test_cases[variant.name, set_verdict.inputs].findtext("system-out") or ""
                assert said.startswith(set_verdict.verdict) and said.endswith(set_verdict.decided_by.why)
        if variant.role == "candidate" and not variant.by_inputs:
            skipped = test_cases[variant.name, "all inputs"].find("skipped")
            assert skipped is not None and (variant.reason or "") in skipped.attrib["message"]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_name_breaks_the_xml(payload: str) -> None:
    assert len(cases(poisoned(studies.full(), payload))) > 1
