from xml.etree import ElementTree

import pytest

from isobatch.reports.blocks import Column, Figure, Table
from isobatch.reports.figures.frame import Dot, Frame, LogScale, outermost
from isobatch.reports.figures.labels import CHARACTER_PX, Label, place
from isobatch.reports.figures.scatter import specification
from isobatch.reports.sections.cost_and_stability import blocks
from tests.reports import studies


def dot(name: str, speed: float, noise: float, verdict: str = "batch-variant") -> Dot:
    return Dot(name, speed, noise, verdict, "not measured", False, f"{name} in words")


def figure(*dots: Dot) -> Figure:
    return Figure("A title", "words", specification(dots), Table("t", (Column("a"),), ()))


def titles(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}title")]


def test_each_mark_is_drawn_and_named_on_hover() -> None:
    svg = studies.draw(figure(dot("a", 10, 1e-3), dot("b", 20, 0.0, "batch-invariant"), dot("c", 30, 1e-7)))
    assert sorted(titles(svg)) == ["a in words", "b in words", "c in words"]
    texts = [e.text for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]
    assert {"a", "b", "c", "bit-equal to the singles at every tested N"} <= set(texts)


@pytest.mark.parametrize(
    "dots",
    [
        [dot("alone", 10, 0.0)],
        [dot("alone", 10, 5e-324)],
        [dot("same", 10, 1e-3), dot("place", 10, 1e-3)],
        [dot("far", 1e-6, 1e-300), dot("apart", 1e9, 1e300)],
    ],
)
def test_extreme_values_are_drawn(dots: list[Dot]) -> None:
    assert len(titles(studies.draw(figure(*dots)))) == len(dots)


def test_the_picture_carries_no_style_and_no_colour_of_its_own() -> None:
    for element in ElementTree.fromstring(studies.draw(figure(dot("a", 10, 1e-3), dot("b", 20, 0.0)))).iter():
        assert "style" not in element.attrib
        for name in ("fill", "stroke"):
            assert element.get(name, "none") in ("none", "transparent") or element.attrib[name].startswith("var(--")


def test_a_name_is_text_in_the_picture() -> None:
    hostile = "</svg><script>alert(1)</script>\x1b[31m"
    root = ElementTree.fromstring(studies.draw(figure(dot(hostile, 10, 1e-3))))
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert any(e.text == "</svg><script>alert(1)</script>\N{REPLACEMENT CHARACTER}[31m" for e in root.iter())


def test_outermost_by_hand() -> None:
    a, b, c, d = dot("a", 100, 1e-2), dot("b", 50, 1e-5), dot("c", 50, 1e-3), dot("d", 40, 0.0)
    assert outermost([d, c, b, a, dot("e", 30, 0.0)]) == [a, b, d]


def test_the_frame_maps_back_and_forth() -> None:
    frame = Frame.around([dot("a", 10, 1e-3), dot("b", 20, 0.0), dot("c", 40, 3e-6)])
    speeds, noises = frame.speeds, frame.noises
    assert (noises.first, noises.last) == (1e-2, 1e-6)
    assert noises.value(noises.pixels(2e-4)) == pytest.approx(2e-4)
    assert speeds.value(speeds.pixels(17.0)) == pytest.approx(17.0)
    assert noises.pixels(noises.first) == 0 and frame.height > noises.pixels(noises.last)


def test_a_scale_over_more_decades_than_a_ratio_can_hold() -> None:
    scale = LogScale(1e290, 1e-290, 580.0)
    assert scale.pixels(1.0) == pytest.approx(290.0) and scale.value(290.0) == pytest.approx(1.0)


def boxes(marks: list[tuple[float, float, str]], labels: list[Label]) -> list[tuple[float, float, float, float]]:
    rectangles = []
    for (_, _, text), label in zip(marks, labels, strict=True):
        width = CHARACTER_PX * len(text)
        left = label.x - {"left": 0.0, "right": width, "center": width / 2}[label.align]
        rectangles.append((left, label.y - 7, left + width, label.y + 7))
    return rectangles


def test_labels_of_near_marks_do_not_overlap() -> None:
    marks = [(100.0 + 3 * i, 100.0 + 2 * (i % 2), f"variant-{i}") for i in range(6)]
    drawn_boxes = boxes(marks, place(marks, 400, 200))
    for at, box in enumerate(drawn_boxes):
        assert box[0] >= 0 and box[2] <= 400 and box[1] >= 0 and box[3] <= 200
        for other in drawn_boxes[at + 1 :]:
            apart = box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]
            assert apart


def test_a_label_at_the_edge_goes_to_the_other_side() -> None:
    (label,) = place([(395.0, 100.0, "variant")], 400, 200)
    assert label.align == "right" and label.x < 395


def test_what_cannot_be_drawn_is_named() -> None:
    (paragraph,) = blocks(studies.strange())
    assert "poisoned, shaky, bare" in str(paragraph)
