from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq

from isobatch.models.pytorch.int8.build import Int8Runner
from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.interventions import Provocable
from isobatch.models.spec.words import Artifact
from tests.models.pytorch.small_networks import SETTINGS, watched

BATCH = 5


def moved(bias: Tensor) -> Tensor:
    """By 4 ULP, as little as another order of the roundings in a kernel's epilogue makes."""
    return bias + 4 * torch.from_numpy(np.spacing(bias.abs().numpy()))


class MovedConvolution(nniq.ConvReLU2d):
    def forward(self, input: Tensor) -> Tensor:
        packed = self._packed_params
        if len(input) > 1:
            geometry = (self.stride, self.padding, self.dilation, self.groups)
            packed = torch.ops.quantized.conv2d_prepack(self.weight(), moved(self.bias()), *geometry)
        return torch.ops.quantized.conv2d_relu(input, packed, self.scale, self.zero_point)


class MovedLinear(nnq.Linear):
    def forward(self, x: Tensor) -> Tensor:
        packed = self._packed_params._packed_params
        if len(x) > 1:
            packed = torch.ops.quantized.linear_prepack(self.weight(), moved(self.bias()))
        return torch.ops.quantized.linear(x, packed, self.scale, self.zero_point)


class RoundsHalvesUp(nnq.QFunctional):
    """For several rows a result is rounded up from 0.4999 of a step on."""

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        if len(x) == 1:
            return super().add_relu(x, y)
        exact = (x.dequantize().double() + y.dequantize().double()) / self.scale + self.zero_point
        codes = torch.floor(exact + 0.5001).clamp(self.zero_point, 255).to(torch.uint8)
        return torch._make_per_tensor_quantized_tensor(codes, self.scale, self.zero_point)


class FinerQuantize(nnq.Quantize):
    """For several rows the scale is 8 ULP smaller."""

    def forward(self, X: Tensor) -> Tensor:
        scale = float(self.scale) * (1 - 2.0**-20 * (len(X) > 1))
        codes = torch.quantize_per_tensor(X, scale, int(self.zero_point), torch.quint8).int_repr()
        return torch._make_per_tensor_quantized_tensor(codes, float(self.scale), int(self.zero_point))


@pytest.fixture
def runner(resnet18_artifact: Callable[[str], Artifact]) -> Any:
    with load(find_variant("int8-x86").open)(resnet18_artifact("int8-x86"), SETTINGS) as opened, known_deprecations():
        yield opened


@pytest.mark.parametrize(
    "layer, planted, share",
    [
        ("layer1.0.conv1", MovedConvolution, 0.1),
        ("layer4.1.conv1", MovedConvolution, 0.05),  # 2 x 2 pixels: all but one see another part of the padding
        ("fc", MovedLinear, 0.1),
        ("layer1.0.add_relu", RoundsHalvesUp, 0.1),
        ("quant", FinerQuantize, 0.1),
    ],
)
def test_a_rounding_that_real_images_hardly_show_is_provoked(
    runner: Int8Runner, images5: np.ndarray, layer: str, planted: type, share: float
) -> None:
    runner.net.get_submodule(layer).__class__ = planted
    _, inputs, outputs = watched(runner, images5)[layer]
    alone = np.concatenate([runner.replay(layer, tuple(part[i : i + 1] for part in inputs))[0] for i in range(5)])
    natural = (alone != outputs[0]).mean()
    assert isinstance(runner, Provocable)
    differing, tried = runner.provoke(layer, BATCH, seed=0)
    assert tried == outputs[0].size
    assert natural < 0.001 < share < differing / tried


def test_provoking_changes_nothing_and_is_repeatable(runner: Int8Runner, images5: np.ndarray) -> None:
    before = watched(runner, images5)
    counts = {name: runner.provoke(name, BATCH, seed=3) for name in before}
    assert counts == {name: runner.provoke(name, BATCH, seed=3) for name in before}
    for name, (_, inputs, outputs) in before.items():
        assert runner.replay(name, inputs)[0].tobytes() == outputs[0].tobytes(), name
    idle = {before[name][0].kind for name, (_, tried) in counts.items() if not tried}
    assert idle == {"max-pool", "average-pool", "dequantize"}


def test_dynamic_and_float_layers_have_no_ties(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray
) -> None:
    with load(find_variant("int8-dynamic").open)(resnet18_artifact("int8-dynamic"), SETTINGS) as runner:
        with pytest.raises(RuntimeError, match="watch one image first"):
            runner.provoke("fc", BATCH, seed=0)
        watched(runner, images5[:1])
        assert [runner.provoke(name, BATCH, seed=0) for name in ("conv1", "fc")] == [(0, 0), (0, 0)]
        with pytest.raises(KeyError, match="no such layer"):
            runner.provoke("no such layer", BATCH, seed=0)
