import numpy as np
import pytest
import torch
from torch import Tensor, nn

import isobatch
from isobatch.models.spec.batches import batch_of, parts_of
from isobatch.models.user_inputs import as_rows
from isobatch.models.user_networks import open_network


def given(length: int) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(length)
    ids = draws.integers(0, 10, (4, length))
    return {"ids": ids, "mask": draws.random((4, length), np.float32)}  # of 5 columns a row has 60 bytes


@pytest.mark.parametrize("row", range(4))
def test_each_input_of_a_single_row_is_an_array_of_its_own(row: int) -> None:
    arrays = given(5)
    parts = parts_of(batch_of(arrays)[row : row + 1])
    for name, part in parts.items():
        assert part.flags.aligned and part.strides == (part.itemsize * 5, part.itemsize)
        assert (torch.from_numpy(part).numpy() == arrays[name][row : row + 1]).all()


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return (self.table(ids) * mask[..., None]).sum(1)


def test_inputs_of_several_types_and_an_odd_length_are_compared() -> None:
    assert isobatch.compare(Masked().eval(), given(5)).verdict == "batch-invariant"


def test_layers_are_found_anew_for_inputs_of_another_length() -> None:
    with open_network(Masked().eval()) as runner:
        for length in (5, 7):
            rows, names = runner.fitted(as_rows(given(length))), list[str]()
            runner.learn(rows[:2])
            runner.watch(rows, lambda layer, inputs, outputs, names=names: names.append(layer.name))
            assert names == ["table", "mul()", "sum()"]
