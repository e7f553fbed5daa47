"""The order probe at torch's own kernels: what it reveals gives, carried out exactly, the bits that torch gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.spec.runner import Layer, Rows
from isobatch.models.spec.words import RunnerSettings
from isobatch.pipeline.explain.causes import Subject
from isobatch.pipeline.explain.causes._orders import orders
from tests.models.pytorch.small_networks import seeded

ROWS = 4


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 24))


def convolution() -> nn.Module:
    return nn.Sequential(nn.Conv2d(12, 16, 3, padding=1, bias=False))


@pytest.mark.parametrize(("make", "name", "side"), [(linear, "1", 8), (convolution, "0", 12)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_trees_of_real_layers_reproduce_their_bits(make: object, name: str, side: int, dtype: torch.dtype) -> None:
    with ExaminedTorchRunner(lambda: seeded(make), RunnerSettings(threads=1), dtype=dtype) as runner:  # type: ignore[arg-type]
        images = np.random.default_rng(0).standard_normal((ROWS, 12, side, side), np.float32)
        seen: dict[str, tuple[Layer, Rows]] = {}
        runner.watch(images, lambda layer, inputs, outputs: seen.__setitem__(layer.name, (layer, inputs)))
        revealed = orders(Subject(runner, *seen[name], batch=ROWS, threads=1, seed=0))
    assert revealed.alone.tree is not None, revealed.words
    assert revealed.together.tree is not None, revealed.words
    assert revealed.replays.keys() == {1, ROWS}
    assert all(replay.reproduced == replay.sampled > 0 for replay in revealed.replays.values()), revealed.proof()
