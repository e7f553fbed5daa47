import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from isobatch.models.pytorch.kernels import rounding_error
from isobatch.models.pytorch.runner import TorchRunner, torch_threads
from isobatch.models.pytorch.tensors import to_numpy
from isobatch.models.spec.runner import Quantized, Runner
from isobatch.models.spec.words import RunnerSettings, VariantUnavailable


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def images(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 3, 16, 16)).astype(np.float32)


def test_the_logits_are_those_of_the_plain_network_and_the_input_is_left_alone() -> None:
    given = images()
    kept = given.copy()
    with torch.inference_mode():
        expected = network()(torch.from_numpy(given)).numpy()
    with TorchRunner(network, RunnerSettings(threads=1)) as runner:
        logits = runner.run(given)
    assert isinstance(runner, Runner) and not isinstance(runner, Quantized)
    assert logits.tobytes() == expected.tobytes()
    assert given.tobytes() == kept.tobytes()
    assert logits.flags.owndata and logits.flags.writeable


@pytest.mark.parametrize(
    ("dtype", "name", "numpy_type"),
    [
        (torch.float64, "fp64", np.float64),
        (torch.float32, "fp32", np.float32),
        (torch.float16, "fp16", np.float16),
        (torch.bfloat16, "bf16", ml_dtypes.bfloat16),
    ],
)
def test_types_are_measured_on_the_network_and_kept_to_the_output(
    dtype: torch.dtype, name: str, numpy_type: type
) -> None:
    with TorchRunner(network, RunnerSettings(threads=1), dtype) as runner:
        logits, effective = runner.run(images()), runner.effective()
    assert logits.dtype == numpy_type and logits.shape == (2, 5)
    assert (effective.precision, effective.int8_layers, effective.weight_layers) == (name, 0, 2)
    assert effective.provider
    assert ("rounded once" in effective.note or f"in {name} itself" in effective.note) == (name in ("fp16", "bf16"))


def test_bfloat16_keeps_its_bits() -> None:
    values = torch.tensor([[1.0, -0.0, float("nan"), float("-inf"), 3.140625]], dtype=torch.bfloat16)
    array = to_numpy(values)
    assert array.dtype == ml_dtypes.bfloat16
    assert array.view(np.uint16).tolist() == [[0x3F80, 0x8000, 0x7FC0, 0xFF80, 0x4049]]


def test_threads_hold_between_enter_and_exit_even_when_loading_fails() -> None:
    before = torch.get_num_threads()
    with TorchRunner(network, RunnerSettings(threads=3)):
        assert (torch.get_num_threads(), torch.get_num_interop_threads()) == (3, 1)
    assert torch.get_num_threads() == before

    def fail() -> nn.Module:
        assert torch.get_num_threads() == 3
        raise OSError("damaged")

    with pytest.raises(OSError, match="damaged"), TorchRunner(fail, RunnerSettings(threads=3)):
        pass
    assert torch.get_num_threads() == before


def test_threads_are_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(3):
        raise KeyError
    assert torch.get_num_threads() == before


def test_nothing_runs_outside_of_enter_and_exit() -> None:
    runner = TorchRunner(network, RunnerSettings(threads=1))
    with pytest.raises(RuntimeError, match="not open"):
        runner.run(images())
    with runner:
        runner.run(images())
    with pytest.raises(RuntimeError, match="not open"):
        runner.effective()


def test_a_recipes_memory_format_wins_over_the_conditions_and_is_told() -> None:
    seen = []

    def watched() -> nn.Module:
        net = network()
        net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        return net

    settings = RunnerSettings(threads=1)
    with TorchRunner(watched, settings, memory_format="channels_last") as runner:
        runner.run(images())
        assert "channels_last memory format by its recipe" in runner.effective().note
    with TorchRunner(watched, RunnerSettings(threads=1, memory_format="channels_last")) as runner:
        runner.run(images())
        assert runner.effective().note == ""
    with TorchRunner(watched, settings) as runner:
        runner.run(images())
    last = torch.channels_last
    assert [tensor.is_contiguous(memory_format=last) for tensor in seen] == [True, True, False]


def test_inputs_lie_where_torch_aligns_them_wherever_numpys_array_lies() -> None:
    addresses = []

    def watched() -> nn.Module:
        net = network()
        net.register_forward_pre_hook(lambda module, inputs: addresses.append(inputs[0].data_ptr()))
        return net

    memory = np.empty(images().nbytes + 64, np.uint8)
    with TorchRunner(watched, RunnerSettings(threads=1)) as runner:
        for offset in (4, 20):
            odd = memory[offset : offset + images().nbytes].view(np.float32).reshape(images().shape)
            odd[...] = images()
            runner.run(odd)
    assert [address % 64 for address in addresses] == [0, 0]


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch is built with CUDA")
def test_a_missing_device_makes_the_variant_unavailable() -> None:
    with pytest.raises(VariantUnavailable, match=r"is built without CUDA \(use a machine with an NVIDIA GPU"):
        TorchRunner(network, RunnerSettings(threads=1, device="cuda"))


def test_the_rounding_probe_tells_one_rounding_from_sums_kept_in_the_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def summed_in_bf16(given: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        if given.dtype == torch.float64:
            return convolution(given, kernel)
        columns = nn.functional.unfold(given.float(), 3).bfloat16()
        products = kernel.flatten(1)[None, :, :, None] * columns[:, None]
        total = products[:, :, 0]
        for index in range(1, products.shape[2]):
            total = total + products[:, :, index]
        return total.reshape(len(total), -1, 12, 12)

    rounding_error.cache_clear()
    assert rounding_error(torch.bfloat16, torch.contiguous_format) < 0.75
    convolution = nn.functional.conv2d
    monkeypatch.setattr(nn.functional, "conv2d", summed_in_bf16)
    rounding_error.cache_clear()
    assert rounding_error(torch.bfloat16, torch.contiguous_format) > 1.5
    rounding_error.cache_clear()
