"""Exact sums of torch's integer layers, and the codes its own kernels make of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from torch.ao.nn.intrinsic import quantized as nniq

from isobatch.models.planted.integers import OtherEpilogue
from isobatch.models.pytorch.int8.build import Int8Runner
from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.interventions import Integer, IntegerCall
from isobatch.models.spec.words import Artifact
from isobatch.pipeline.explain.causes import Finding, Subject, requantization
from isobatch.pipeline.explain.causes._epilogues import Terms, reproducing
from tests.models.pytorch.small_networks import SETTINGS, watched

LAYERS = ("conv1", "layer2.0.conv2", "layer2.0.downsample.0", "layer1.0.add_relu", "fc")
BATCH = 3
DRAWS = 8  # of codes and biases at ties: in some, two orders of an epilogue agree by chance


@pytest.fixture(scope="module", params=["int8-fbgemm", "int8-onednn"])
def runner(request: Any, resnet18_artifact: Callable[[str], Artifact]) -> Any:
    name = request.param
    with load(find_variant(name).open)(resnet18_artifact(name), SETTINGS) as opened, known_deprecations():
        yield opened


def everywhere(call: IntegerCall) -> Terms:
    return Terms.of(call.accumulators, np.ones(call.batched.shape, np.bool_))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_formula_reproduces_every_code_of_the_real_kernel_at_ties(
    runner: Int8Runner, images5: np.ndarray, layer: str
) -> None:
    watched(runner, images5[:BATCH])
    assert isinstance(runner, Integer)
    call = runner.crafted(layer, BATCH, seed=0, how="ties")
    assert call is not None and call.singles.shape == call.batched.shape
    assert reproducing([(everywhere(call), call.singles.ravel())])


class NativeAlone(OtherEpilogue):
    """The engine's own kernel for one image, a planted order of the epilogue for several."""

    def forward(self, input: Tensor) -> Tensor:
        return nniq.ConvReLU2d.forward(self, input) if len(input) == 1 else super().forward(input)


class NativeTogether(OtherEpilogue):
    """The engine's own kernel for several images, a planted order of the epilogue for one."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) if len(input) == 1 else nniq.ConvReLU2d.forward(self, input)


def probed(runner: Int8Runner, images: np.ndarray, layer: str, kernel: type[OtherEpilogue]) -> Finding | None:
    """What is said of the layer with this kernel in its place; None where its codes at ties do not depend on N."""
    module: Any = runner.net.get_submodule(layer)
    real = type(module)
    module.__class__ = kernel
    try:
        described, inputs, _ = watched(runner, images[:BATCH])[layer]
        seed = next((draw for draw in range(DRAWS) if runner.provoke(layer, BATCH, draw)[0] > 0), None)
        if seed is None:
            return None
        subject = Subject(runner, described, inputs, BATCH, threads=1, seed=seed, found_by="provoked")
        return requantization.probe(subject)  # alone: where the real kernel clips its sums, that is named before
    finally:
        module.__class__ = real


convolutions = pytest.mark.parametrize("layer", ["layer1.0.conv1", "layer4.1.conv1"])


@convolutions
def test_two_orders_of_one_epilogue_are_named_requantization(
    runner: Int8Runner, images5: np.ndarray, layer: str
) -> None:
    epilogue = probed(runner, images5, layer, OtherEpilogue)
    assert epilogue is not None and epilogue.verdict == "supported", epilogue
    assert "N = 1: all its codes are (acc + bias/(s_x*s_w)) * (s_x*s_w/s_y)" in epilogue.evidence
    assert f"N = {BATCH}: all its codes are" in epilogue.evidence


@convolutions
def test_a_real_kernel_against_another_epilogue_is_named_requantization(
    runner: Int8Runner, images5: np.ndarray, layer: str
) -> None:
    """Which order the real kernel takes, the processor decides: it cannot be both of the planted ones."""
    seen = [probed(runner, images5, layer, kernel) for kernel in (NativeAlone, NativeTogether)]
    findings = [finding for finding in seen if finding is not None]
    assert findings and all(finding.verdict == "supported" for finding in findings), findings
    assert all(finding.evidence.count("all its codes are") == 2 for finding in findings), findings


@pytest.mark.parametrize("layer", LAYERS)
def test_natural_codes_are_the_exact_values_rounded(images5: np.ndarray, layer: str, runner: Int8Runner) -> None:
    seen = watched(runner, images5[:BATCH])
    _, inputs, outputs = seen[layer]
    numbers = runner.accumulators(layer, inputs)
    assert numbers is not None
    terms = everywhere(IntegerCall(outputs[0], outputs[0], numbers))
    off = np.abs(np.clip(terms.steps, numbers.low, numbers.high) - outputs[0].ravel())
    reduced = max(int(part.max()) for part in inputs) <= 128  # only then no kernel can clip its sums
    assert not reduced or off.max() < 0.501


def test_tame_extremes_are_exact_in_every_kernel(runner: Int8Runner, images5: np.ndarray) -> None:
    watched(runner, images5[:BATCH])
    call = runner.crafted("layer1.0.conv1", BATCH, seed=0, how="tame")
    assert call is not None
    codes = np.clip(np.rint(everywhere(call).steps), call.accumulators.low, call.accumulators.high)
    assert np.abs(codes - call.singles.ravel()).max() <= 1


def test_middles_lie_half_a_step_from_ties(runner: Int8Runner, images5: np.ndarray) -> None:
    watched(runner, images5[:BATCH])
    call = runner.crafted("layer2.0.downsample.0", BATCH, seed=0, how="middles")
    assert call is not None
    assert np.abs(everywhere(call).steps - call.singles.ravel()).max() < 1e-3
    assert (call.singles == call.batched).all()


def test_other_layers_have_no_sums(runner: Int8Runner, images5: np.ndarray) -> None:
    seen = watched(runner, images5[:1])
    for layer in ("quant", "maxpool", "avgpool"):
        assert runner.accumulators(layer, seen[layer][1]) is None
        assert runner.crafted(layer, BATCH, seed=0, how="extremes") is None


def test_dynamic_layers_have_no_sums(resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray) -> None:
    with load(find_variant("int8-dynamic").open)(resnet18_artifact("int8-dynamic"), SETTINGS) as opened:
        seen = watched(opened, images5[:1])
        assert opened.accumulators("fc", seen["fc"][1]) is None
        assert opened.accumulators("conv1", seen["conv1"][1]) is None
