from __future__ import annotations

from isobatch.reports.blocks import Code, Link
from isobatch.reports.sections._linked import linked
from tests.reports import studies


def links(reason: str) -> list[tuple[str, str]]:
    return [(part.text, part.target) for part in linked(studies.full(), reason) if isinstance(part, Link)]


def test_each_number_leads_to_its_evidence_with_its_unit() -> None:
    assert links("Its top-1 drop is -0.25 points on 400 images, at most 0.912 points with 95 % confidence.") == [
        (text, "accuracy") for text in ("-0.25 points", "400 images", "0.912 points", "95 %")
    ]
    assert links("Of 7 variants it has the most images a second: 49.8 (16.2 to 71.4) images/s at N = 4.") == [
        (text, "costs") for text in ("7", "49.8 (16.2 to 71.4) images/s", "N = 4")
    ]
    assert links(
        "All bytes of 16 digits images are those of their singles at N = 2 to 4, 8 and 16 (22 comparisons)."
    ) == [(text, "variant-ort-int8") for text in ("16 digits images", "N = 2 to 4, 8 and 16", "22 comparisons")]


def test_the_numbers_within_a_name_stay_in_it() -> None:
    found = linked(studies.full(), "ort-int8 and int8-x86 cannot be told apart")
    assert found == (Code("ort-int8"), " and ", Code("int8-x86"), " cannot be told apart")


def test_nothing_of_the_sentence_is_lost() -> None:
    for reason in ("", "3", "no number", "1e-06, 2", "a.5 b-7 v1.2 (3) 1,797 images."):
        parts = linked(studies.empty(), reason)
        assert "".join(part if isinstance(part, str) else part.text for part in parts) == reason
