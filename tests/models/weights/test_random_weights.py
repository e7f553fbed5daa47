import hashlib

import pytest
import torch
from torch import nn

from isobatch.models.weights.digits.weights import fingerprint
from isobatch.models.weights.networks import skeleton, with_state
from isobatch.models.weights.random_weights import random_state
from isobatch.models.weights.state_dicts import State


def test_the_weights_are_the_same_on_every_machine(resnet18_state: State) -> None:
    arrays = {name: tensor.numpy() for name, tensor in resnet18_state.items()}
    assert fingerprint(arrays) == "dd2c057166e019e85fb76d0583e4c3ff860733f060d78b6f5b55de4b0ee12795"


def test_torchs_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    first, again = (random_state("shufflenet_v2_x0_5", 3)["fc.weight"] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_activations_keep_their_size_even_for_images_unlike_the_calibration_batch(
    resnet18_state: State, factor: float
) -> None:
    net = with_state(skeleton("resnet18", 7), resnet18_state)
    sizes: list[float] = []
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(float(output.std())))
    images = torch.randn((4, 3, 96, 96), generator=torch.Generator().manual_seed(3)) * factor
    with torch.inference_mode():
        logits = net(images)
    assert len(sizes) == 20
    assert 0.1 * factor < min(sizes) and max(sizes) < 10 * factor
    assert len({hashlib.sha256(row.numpy().tobytes()).digest() for row in logits}) == 4
    assert float((logits[0] - logits[1]).abs().max()) > 0.01 * float(logits.abs().max())


def test_statistics_keep_eight_bits(resnet18_state: State) -> None:
    variance = resnet18_state["layer1.0.bn1.running_var"]
    mantissa, _ = torch.frexp(variance)
    assert torch.equal(mantissa * 256, (mantissa * 256).round())
    assert len(set(variance.tolist())) > 10
