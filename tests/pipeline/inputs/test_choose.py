from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.inputs import InputError
from isobatch.pipeline.inputs.choose import Candidates, Unusable, choose, spread
from isobatch.pipeline.inputs.storing import digest


def candidates(values: list[int | None]) -> Candidates:
    """Images of one value each; None stands for one that cannot be used."""

    def read(index: int) -> NDArray[Any]:
        value = values[index]
        if value is None:
            raise Unusable("junk")
        return np.full((2, 2, 3), value, np.uint8)

    return Candidates(len(values), read, lambda index: f"image {index}")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 100])
def test_spread_visits_every_index_once(count: int) -> None:
    assert sorted(spread(count)) == list(range(count))


def test_the_beginning_of_spread_lies_evenly_over_the_whole() -> None:
    assert sorted(list(spread(1024))[:16]) == list(range(0, 1024, 64))


def test_enough_images_fill_both_parts_and_no_more_are_read() -> None:
    read: list[int] = []
    source = candidates(list(range(200)))

    def counted(index: int) -> NDArray[Any]:
        read.append(index)
        return source.read(index)

    choice = choose(Candidates(200, counted, source.name), 16, 8)
    assert (len(choice.evaluation), len(choice.calibration), len(read)) == (16, 8, 24)
    assert not choice.evaluation.keys() & choice.calibration.keys()


@pytest.mark.parametrize(
    ("count", "wanted", "evaluation", "calibration"),
    [
        (1, 16, 1, 0),
        (5, 16, 5, 0),  # one image cannot calibrate: it is measured instead
        (6, 16, 4, 2),
        (20, 16, 14, 6),
        (3, 2, 2, 0),  # one to spare, which is too few
        (4, 2, 2, 2),
        (100, 1, 1, 32),
    ],
)
def test_how_few_images_are_shared_out(count: int, wanted: int, evaluation: int, calibration: int) -> None:
    choice = choose(candidates(list(range(count))), wanted, 32)
    assert (len(choice.evaluation), len(choice.calibration)) == (evaluation, calibration)


def test_duplicates_and_junk_are_left_out_with_the_reason() -> None:
    choice = choose(candidates([1, 2, 1, None]), 16, 32)
    assert len(choice.evaluation) == 2
    assert {entry["file"]: entry["why"] for entry in choice.skipped} == {
        "image 2": "same picture as image 0",
        "image 3": "junk",
    }


def overwritten(index: int) -> NDArray[Any]:
    return np.zeros((2, 2, 3), np.uint8)


def deleted(index: int) -> NDArray[Any]:
    raise Unusable("gone")


@pytest.mark.parametrize("read", [overwritten, deleted])
def test_an_image_that_changed_after_it_was_chosen_is_refused(read: Callable[[int], NDArray[Any]]) -> None:
    chosen = {0: digest(np.ones((2, 2, 3), np.uint8))}
    with pytest.raises(InputError, match="image 0 changed") as caught:
        list(Candidates(1, read, lambda index: f"image {index}").reread(chosen))
    assert caught.value.code == "changed"
