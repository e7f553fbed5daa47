import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from isobatch.models.spec.words import Network, VariantUnavailable
from isobatch.models.weights import networks
from isobatch.models.weights.state_dicts import State


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'resnet51': did you mean 'resnet50'\? All: alexnet, "):
        networks.architecture("resnet51", 2)


def test_a_skeleton_takes_no_memory_and_neither_it_nor_its_sizes_wake_torchs_compiler() -> None:
    code = (
        "import sys\n"
        "from isobatch.models.weights import networks\n"
        "net = networks.skeleton('resnet50', 1000)\n"
        "assert all(tensor.is_meta for tensor in net.state_dict().values())\n"
        "networks.skeleton('vgg11', 1000), networks.quantizable_skeleton('mobilenet_v3_large', 1000)\n"
        "assert networks.refusals('resnet50', 1000, [(64, 64)]) == [None]\n"
        "print(networks.weight_layers(net), {'torch._dynamo', 'sympy'} & {*sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["54", "set()"], done.stdout + done.stderr


def test_refusals_are_in_the_networks_own_words() -> None:
    assert networks.refusals("regnet_y_400mf", 1000, [(10, 10)]) == [None]
    (said,) = networks.refusals("vit_b_16", 1000, [(64, 64)])
    assert "Wrong image height" in (said or "")


def test_a_filled_skeleton_gives_the_logits_of_the_plain_network(resnet18_state: State) -> None:
    plain = networks.architecture("resnet18", 7)
    plain.load_state_dict(resnet18_state)
    images = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = plain(images)
        filled = networks.with_state(networks.skeleton("resnet18", 7), resnet18_state)(images)
    assert torch.equal(filled, expected) and not filled.requires_grad


@pytest.mark.parametrize("model", ["regnet_y_400mf", "mnasnet0_5"])
def test_models_with_peculiar_constructors_or_state_dicts_can_be_filled(model: str) -> None:
    before = torch.random.get_rng_state()
    state = networks.architecture(model, 3).state_dict()
    net = networks.with_state(networks.skeleton(model, 3), dict(state))
    assert not any(tensor.is_meta for tensor in [*net.parameters(), *net.buffers()])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_only_some_models_have_a_quantizable_twin_and_it_takes_the_same_weights() -> None:
    assert networks.quantizable_skeleton("squeezenet1_0", 3) is None
    for model in ("resnet50", "googlenet", "mobilenet_v3_large"):
        twin = networks.quantizable_skeleton(model, 3)
        assert twin is not None
        shapes = {name: tensor.shape for name, tensor in networks.skeleton(model, 3).state_dict().items()}
        assert {name: tensor.shape for name, tensor in twin.state_dict().items()} == shapes


def test_the_tensors_read_lie_where_torch_aligns_them(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3), "b": torch.arange(5.0)}, tmp_path / "odd.safetensors")
    state = networks.read_state(tmp_path / "odd.safetensors")
    assert torch.equal(state["b"], torch.arange(5.0))
    assert all(tensor.data_ptr() % 64 == 0 for tensor in state.values())


def test_an_onnx_file_is_no_torch_network() -> None:
    with pytest.raises(VariantUnavailable, match=r"^net\.onnx is an ONNX file, and torch cannot run one \(choose the"):
        networks.float_network(Network("", "", "", 10, onnx_path="/folder/net.onnx"))


@pytest.mark.parametrize(
    ("model", "size", "said"),
    [
        ("vit_b_16", 400, "Expected 224 but got 400"),
        ("vit_b_16", 224, None),
        ("inception_v3", 32, "size"),
        ("resnet18", 400, None),
        ("swin_t", 400, None),
    ],
)
def test_a_network_says_which_sizes_it_takes(model: str, size: int, said: str | None) -> None:
    (refusal,) = networks.refusals(model, 10, [(size, size)])
    assert (refusal is None) == (said is None)
    assert said is None or (said in str(refusal) and "\n" not in str(refusal))
