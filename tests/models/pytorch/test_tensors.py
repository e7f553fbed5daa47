from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import Tensor

from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.pytorch.tensors import Form, Slot, to_numpy, to_torch


def shaped(count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.arange(count * 24).reshape(count, 2, 3, 4).to(dtype)


def quantized(count: int) -> Tensor:
    with known_deprecations():
        return torch._make_per_tensor_quantized_tensor(shaped(count, torch.uint8), 0.5, 3)


def channels_last(count: int) -> Tensor:
    return shaped(count).contiguous(memory_format=torch.channels_last)


def folded(count: int) -> Tensor:
    """Two heads an image in the batch axis, which is not the outermost in memory."""
    return torch.arange(5.0 * count * 2 * 3).reshape(5, count * 2, 3).transpose(0, 1)


def second_axis(count: int) -> Tensor:
    return torch.arange(5.0 * count * 3).reshape(5, count, 3)


def behind_others(count: int) -> Tensor:
    return torch.arange(count * 10.0).reshape(count, 10)[:, 3:]


@pytest.mark.parametrize("made", [shaped, quantized, channels_last, folded, second_axis, behind_others])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_tensor_comes_back_from_its_rows_with_the_layout_of_the_original(
    made: Callable[[int], Tensor], count: int
) -> None:
    slot = Slot.between(Form.of(made(1)), Form.of(made(2)))
    assert slot is not None
    original = made(count)
    rows = slot.rows(original)
    assert len(rows) == count
    again = slot.tensor(rows)
    assert Form.of(again) == Form.of(original)
    assert again.is_quantized == original.is_quantized and torch.equal(again, original)
    assert slot.tensor(rows[:1]).shape == made(1).shape


def test_rows_are_images_whatever_the_axis() -> None:
    slot = Slot.between(Form.of(folded(1)), Form.of(folded(2)))
    assert slot is not None and (slot.axis, slot.per_image) == (0, 2)
    assert slot.rows(folded(3)).shape == (3, 2, 5, 3)
    other = Slot.between(Form.of(second_axis(1)), Form.of(second_axis(2)))
    assert other is not None and other.axis == 1
    np.testing.assert_array_equal(other.rows(second_axis(3))[2], second_axis(3)[:, 2].numpy())


def test_rows_are_copies() -> None:
    slot = Slot.between(Form.of(shaped(1)), Form.of(shaped(2)))
    assert slot is not None
    tensor = shaped(2)
    rows = slot.rows(tensor)
    tensor.zero_()
    assert rows.any()


def test_an_expanded_tensor_can_take_different_rows() -> None:
    one, two = (torch.zeros(1, 3).expand(count, 3) for count in (1, 2))
    slot = Slot.between(Form.of(one), Form.of(two))
    assert slot is not None
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert torch.equal(slot.tensor(rows), torch.from_numpy(rows))


@pytest.mark.parametrize("one, two", [((1, 3), (2, 6)), ((4, 3), (5, 3)), ((1, 3), (2, 3, 1)), ((1, 3), (2,))])
def test_images_that_are_not_along_one_axis_are_refused(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="for one image and"):
        Slot.between(Form.of(torch.zeros(one)), Form.of(torch.zeros(two)))


def test_what_all_images_share_has_no_slot() -> None:
    assert Slot.between(Form.of(torch.zeros(4, 3)), Form.of(torch.zeros(4, 3))) is None


def test_bfloat16_survives_numpy() -> None:
    values = torch.tensor([1.5, -0.0, float("inf")], dtype=torch.bfloat16)
    array = to_numpy(values)
    assert array.dtype == ml_dtypes.bfloat16
    assert torch.equal(to_torch(array).view(torch.uint16), values.view(torch.uint16))
