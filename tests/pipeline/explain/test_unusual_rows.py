"""Layers whose rows hold NaN, infinities or complex numbers, change their shape with N, or take no drawn rows."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isobatch.models.user_networks import open_network
from isobatch.pipeline.evidence.rows import same_row
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.explain.causes._influence import influence
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.explain.locate import locate, random_rows
from isobatch.pipeline.explain.origins import explain_origins
from isobatch.pipeline.repair.ladder import climb
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.shapes import measure_shapes
from isobatch.pipeline.repair.verify import Scope
from isobatch.pipeline.user.asked import Examples
from tests.models.pytorch.small_networks import OneUlpWhenBatched, opened, pixels
from tests.pipeline.explain.causes.kernels import examined

SIZES = [2, 4]


class Step(nn.Module):
    """A layer that is this function of its rows."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x)  # type: ignore[no-any-return]


def looked_into(*layers: nn.Module) -> tuple[Located, dict[str, Explanation]]:
    net, images = nn.Sequential(nn.Flatten(), *layers).eval(), pixels(4, side=4)
    with open_network(net, 1) as runner:
        located = locate(runner, images, SIZES, 0)  # type: ignore[arg-type]
        return located, explain_origins(runner, located, images, 1, 0)  # type: ignore[arg-type]


def nan_in_a_batch(x: Tensor) -> Tensor:
    return torch.where(torch.arange(x.shape[1]) * (len(x) - 1) > 5, float("nan"), x)


def test_a_difference_that_is_nan_is_the_largest_and_no_zero() -> None:
    located, _ = looked_into(Step(nan_in_a_batch), Step(lambda x: torch.nan_to_num(x, nan=1.0)), OneUlpWhenBatched())
    worst = located.origins[0]
    assert worst.layer.name == "1" and np.isnan(worst.max_abs) and np.isnan(worst.max_ulp) and worst.size == np.inf


def test_infinities_that_are_equal_begin_no_growth() -> None:
    mask = torch.zeros(48)
    mask[::2] = float("-inf")
    located, _ = looked_into(Step(lambda x: x + mask), nn.Softmax(-1), OneUlpWhenBatched())
    grown = {layer: (largest, share) for layer, largest, share, _ in located.growth}
    assert grown["1"] == grown["2"] == (0.0, 0.0) and 0 < grown["3"][1] < 1e-5
    assert [finding.layer.name for finding in located.origins] == ["3"]


def test_complex_numbers_differ_in_both_of_their_parts() -> None:
    def imaginary_bit(x: Tensor) -> Tensor:
        real = torch.view_as_real(x).clone()
        real[:, 0, 1] += 2.0**-20 * (len(x) > 1)
        return torch.view_as_complex(real)

    whole = Step(lambda x: torch.complex(x.round(), x.round()))
    located, explained = looked_into(whole, Step(imaginary_bit), Step(lambda x: x.imag))
    (origin,) = (finding for finding in located.origins if finding.layer.name == "2")
    assert 0 < origin.max_abs < 1e-5 and 0 < origin.max_ulp < 1e6
    assert next(growth for layer, growth, *_ in located.growth if layer == "2") == origin.max_abs
    assert explained["2"].mechanism


def test_a_layer_of_another_shape_in_a_batch_is_explained() -> None:
    located, explained = looked_into(Step(lambda x: x[:, : 8 + (len(x) > 2)] * 1.0), Step(lambda x: x[:, :8]))
    assert [(f.layer.name, f.batch_sizes, f.max_abs) for f in located.origins] == [("1", [4], np.inf)]
    assert explained["1"].mechanism == "different-branch"


def test_an_origin_that_takes_no_drawn_rows_may_be_repaired() -> None:
    def of_small_values(x: Tensor) -> Tensor:
        if x.abs().max() > 10:
            raise ValueError("values up to 10 are taken")
        return x + 2.0**-20 * (len(x) > 1)

    images = pixels(4, side=4)
    with opened(nn.Sequential(nn.Flatten(), nn.Hardtanh(-10, 10), Step(of_small_values)).eval()) as runner:
        located = locate(runner, images, SIZES, 0)
        assert located.findings["2"].found_by == "captured" and located.findings["2"].replayable
        assert measure_shapes(runner, located, images, 4, 0) == {}
        bench = Bench(runner, 1, images, (2, 4), located)
        (repaired, *_) = climb(bench, Scope([Examples("drawn", images)], (2, 4), {}), 9.0, ["surgical"])  # type: ignore[list-item]
        assert repaired.holds and repaired.candidate is not None and repaired.candidate.layers == ("2",)


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32, np.complex64])
def test_drawn_rows_turn_infinite_nowhere(kind: Any) -> None:
    own = np.full((4, 50), 50_000, kind) * (np.array(1 + 1j, kind) if kind is np.complex64 else np.array(1, kind))
    drawn, given = random_rows((own, np.full((4, 2), np.inf, np.float32)), np.random.Generator(np.random.PCG64(0)))
    assert drawn.dtype == own.dtype and np.isfinite(drawn.astype(np.complex64)).all() and np.isinf(given).all()
    assert (
        len(np.unique(drawn.astype(np.complex64).real)) > 20
        and (drawn.imag.astype(bool) == own.imag.astype(bool)).all()
    )


def test_neighbours_of_a_row_with_infinities_change_it_by_what_they_change() -> None:
    def masked(rows: Any) -> Any:
        rows = rows + np.float32(2.0**-10) * (len(rows) > 1)
        rows[:, 0] = -np.inf
        return rows

    seen = influence(examined(masked))
    assert seen.worst.change < 0.01 and not seen.moves and np.isfinite(seen.largest)


def test_a_row_of_a_call_is_told_from_what_all_rows_share() -> None:
    rows, table = np.arange(6.0).reshape(3, 2), np.arange(4.0)
    assert all(same_row((rows[i : i + 1], table), (rows, table), i, 3) for i in range(3))
    assert not same_row((rows[:1], table), (rows, table + 1), 0, 3)
    assert not same_row((rows[:1],), (rows.astype(np.float32),), 0, 3)
