"""What a study calls its examples."""

import pytest

from isobatch.pipeline.records.study import InputSet, Study
from isobatch.reports.blocks import Code, Column, Definitions, Paragraph, Table, line
from isobatch.reports.inputs_in_words import of_pictures, worded
from isobatch.reports.sections.answer import scope
from isobatch.reports.sections.inputs import blocks
from tests.reports import studies


def of_shape(*shapes: list[int]) -> Study:
    sets = [
        InputSet(name="given", source="given", n=4, shape=shape, labelled=False, sha256="0" * 64) for shape in shapes
    ]
    return studies.full().model_copy(update={"inputs": sets})


@pytest.mark.parametrize(
    ("shapes", "pictures"),
    [
        ([[3, 8, 8]], True),
        ([[8, 8, 1]], True),
        ([[7]], False),
        ([[9, 6]], False),
        ([[3, 8, 8], [7]], False),
        ([], True),
    ],
)
def test_pictures_have_channels(shapes: list[list[int]], pictures: bool) -> None:
    assert of_pictures(of_shape(*shapes)) is pictures


@pytest.mark.parametrize(
    ("shape", "told"),
    [([3, 400, 300], "(4 images, 400 x 300)"), ([8, 9, 1], "(4 images, 8 x 9)"), ([7], "(4 images)")],
)
def test_the_scope_names_the_size_of_pictures(shape: list[int], told: str) -> None:
    assert f"given {told}; N = " in scope(of_shape(shape))


def test_prose_speaks_of_inputs_and_names_stay() -> None:
    said = Paragraph(
        line(
            "16 images of images, an image alone, an image's row; at 171 img/s; image size; ", Code("images.npy"), " x"
        )
    )
    made = worded(of_shape([7]), said)
    assert "".join(part if isinstance(part, str) else "" for part in made.prose) == (
        "16 inputs of images, an input alone, an input's row; at 171 inputs/s; image size;  x"
    )
    assert Code("images.npy") in made.prose
    assert worded(of_shape([3, 8, 8]), said) == said


@pytest.mark.parametrize("size", [", 20 px", " at 20 px", ", 20 pixels", ", 20, 24 and 32 pixels"])
def test_what_is_no_picture_has_no_size_in_pixels(size: str) -> None:
    assert worded(of_shape([7]), f"N = 2, 2 threads{size}.") == "N = 2, 2 threads."
    assert worded(of_shape([3, 8, 8]), size) == size


def test_of_what_is_no_picture_no_preprocessing_is_told() -> None:
    (definitions, *_), (of_pictures_, *_) = blocks(of_shape([7])), blocks(of_shape([3, 8, 8]))
    assert isinstance(definitions, Definitions) and isinstance(of_pictures_, Definitions)
    told = "Preprocessing of pictures"
    assert told not in dict(definitions.items) and told in dict(of_pictures_.items)


def test_cells_that_are_names_stay() -> None:
    table = Table("Images.", (Column("Image", "name"), Column("Images")), (("image", "2 images"),))
    made = worded(of_shape([7]), table)
    assert (made.caption, made.columns[1].title, made.rows) == ("Inputs.", "Inputs", (("image", "2 inputs"),))
