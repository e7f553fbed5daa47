"""Networks whose inner tensors are no plain rows of the images: a planted difference is found beside them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isobatch.pipeline import compare_batch_invariance
from isobatch.pipeline.api import compared_with_origin
from isobatch.pipeline.testing import assert_batch_invariant
from tests.models.pytorch.small_networks import OneUlpWhenBatched, seeded

IMAGES = np.random.default_rng(0).standard_normal((4, 6, 8), np.float32)


class Odd(nn.Module):
    """The planted difference, and behind it what ``part`` makes of rows [n, 8]."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.planted, self.part = OneUlpWhenBatched(), part

    def forward(self, x: Tensor) -> Tensor:
        return self.planted(x[:, 0]) + self.part(x).round()  # whole numbers hide what kernels do


class Nested(nn.Module):
    """A transformer of words of other lengths, which torch packs into nested tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)

    def forward(self, x: Tensor) -> Tensor:
        padding = torch.arange(6) > 2 + (x[:, :1, 0] > 0)
        return self.inner(x, src_key_padding_mask=padding)[:, 0]


class Experts(nn.Module):
    """Each row goes to one of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, 0]
        result, second = torch.zeros_like(rows), rows[:, 0] > 0
        for expert, mine in zip(self.experts, (~second, second), strict=True):
            result[mine] = expert(rows[mine])
        return result


class Mapped(nn.Linear):
    """A layer that is called for each row by itself."""

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = torch.vmap(super().forward)(x[:, 0])
        return mapped


class Sparse(nn.Module):
    """Weights in a sparse tensor, which torch does not run in inference mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(8).to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return torch.sparse.mm(self.weight, x[:, 0].t()).t()


class Differentiating(nn.Module):
    """The derivative of a sum, as forces are that of an energy."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, 0].detach().requires_grad_()
        (slope,) = torch.autograd.grad(rows.square().sum(), rows)
        return slope


@pytest.mark.parametrize("part", [Nested, Experts, Mapped])
def test_a_difference_is_found_beside_tensors_without_rows(part: type[nn.Module]) -> None:
    net = seeded(lambda: Odd(part() if part is not Mapped else Mapped(8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls nested tensors a prototype
        result, start = compared_with_origin(net, IMAGES, None, 0.0)
    assert result.verdict == "batch-variant" and "planted" in str(start)


@pytest.mark.parametrize("part", [Sparse, Differentiating])
def test_what_runs_with_autograd_alone_is_compared(part: type[nn.Module]) -> None:
    net = seeded(lambda: Odd(part()))
    assert compare_batch_invariance(net, IMAGES).verdict == "batch-variant"
    assert not any(parameter.grad is not None for parameter in net.parameters())


class Tiring(nn.Module):
    """Works for so many calls, and fails in all that come later."""

    calls, limit = 0, 10**9

    def forward(self, x: Tensor) -> Tensor:
        Tiring.calls += 1
        if Tiring.calls > Tiring.limit:
            raise RuntimeError("worn out")
        return x[:, 0]


def test_a_search_that_fails_costs_no_verdict_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    net = seeded(lambda: Odd(Tiring()))
    monkeypatch.setattr(Tiring, "calls", 0)
    compare_batch_invariance(net, IMAGES)
    monkeypatch.setattr(Tiring, "limit", Tiring.calls)
    monkeypatch.setattr(Tiring, "calls", 0)
    with pytest.raises(AssertionError, match=r"^not batch-invariant .*; looking into its layers failed .*worn out"):
        assert_batch_invariant(net, IMAGES)
