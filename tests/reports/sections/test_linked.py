from isobatch.reports.blocks import Bullets, Code, Link
from isobatch.reports.sections import write_one
from isobatch.reports.sections._linked import chapter, linked
from tests.reports import studies


def links(reason: str) -> list[tuple[str, str]]:
    return [(part.text, part.target) for part in linked(studies.full(), reason, "costs") if isinstance(part, Link)]


def test_each_number_is_a_link_with_its_unit() -> None:
    assert links("Its accuracy drop is -0.25 points on 400 images, at most 0.92 points with 95 % confidence.") == [
        (text, "costs") for text in ("-0.25 points", "400 images", "0.92 points", "95 %")
    ]
    assert links("Of 7 variants it has the most images a second: 49.8 (16.2 to 71.4) img/s at N = 4.") == [
        (text, "costs") for text in ("7", "49.8 (16.2 to 71.4) img/s", "N = 4")
    ]


def test_the_reasons_lead_to_what_each_rests_on() -> None:
    bullets = next(block for block in write_one("recommendation", studies.full()).blocks if isinstance(block, Bullets))
    targets = [{part.target for part in item if isinstance(part, Link)} for item in bullets.items]
    assert studies.full().recommendation.because_rests_on == ["bytes", "accuracy", "cost", "cost"]
    assert targets == [{chapter(studies.full())}, {"accuracy"}, {"race"}, {"race"}]


def test_the_numbers_within_a_name_stay_in_it() -> None:
    found = linked(studies.full(), "ort-int8 and int8-x86 cannot be told apart", "costs")
    assert found == (Code("ort-int8"), " and ", Code("int8-x86"), " cannot be told apart")


def test_nothing_of_the_sentence_is_lost() -> None:
    for reason in ("", "3", "no number", "1e-06, 2", "a.5 b-7 v1.2 (3) 1,797 images."):
        parts = linked(studies.empty(), reason, "costs")
        assert "".join(part if isinstance(part, str) else part.text for part in parts) == reason
