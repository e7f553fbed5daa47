"""The runner of devices with the CPU in the device's place: the same code as on a GPU, but for the device itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isobatch.models import user_networks
from isobatch.models.pytorch import device_runner as torch_device_runner
from isobatch.models.pytorch.device.devices import Device
from isobatch.models.pytorch.device_runner import DeviceTorchRunner
from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.pytorch.kernels import convolution_error
from isobatch.models.pytorch.tensors import Form, memory_like
from isobatch.models.spec.interventions import Logged, Probed, Threaded, Widened
from isobatch.models.spec.repairable import Streaming
from isobatch.models.spec.runner import WHOLE, Canonical, Clocked, Inspectable, Rewritable
from isobatch.models.spec.templates.network_canonical import InCanonicalShape
from isobatch.models.spec.words import CudaOptions, RunnerSettings
from isobatch.models.user_networks import ModuleRunner
from tests.models.pytorch.small_networks import pixels, seeded, watched

IMAGES = pixels(3)
CPU = torch.device("cpu")


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


def opened(cuda: CudaOptions | None = None, dtype: torch.dtype = torch.float32) -> DeviceTorchRunner:
    return DeviceTorchRunner(lambda: seeded(net), RunnerSettings(1, cuda=cuda), dtype, device=Device())


def test_it_offers_all_that_a_float_network_does_but_the_host_s_threads() -> None:
    runner = opened()
    for protocol in (Clocked, Inspectable, Rewritable, Widened, Probed, Logged):
        assert isinstance(runner, protocol)
    assert not isinstance(runner, Streaming) and not isinstance(runner, Threaded)
    assert not isinstance(ExaminedTorchRunner(net, RunnerSettings(1)), Clocked)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("graphs", ["off", "on"])
def test_its_bytes_are_those_of_the_plain_runner(dtype: torch.dtype, graphs: str) -> None:
    with ExaminedTorchRunner(lambda: seeded(net), RunnerSettings(1), dtype) as plain:
        expected = plain.run(IMAGES), plain.run(IMAGES[:1])
    with opened(CudaOptions(cuda_graphs=graphs), dtype) as runner:
        logits, seconds = runner.timed(IMAGES)
        assert 0 < seconds < 60 and runner.device_memory() == {}
        assert logits.tobytes() == expected[0].tobytes()
        assert runner.run(IMAGES[:1]).tobytes() == expected[1].tobytes()
        assert logits.tobytes() == expected[0].tobytes()  # results are not overwritten by later calls
        assert runner.run(IMAGES[::-1].copy()).tobytes() == expected[0][::-1].tobytes()  # nor played back from before


def test_a_rewritten_twin_records_its_own_network() -> None:
    with opened(CudaOptions(cuda_graphs="on")) as runner:
        singles = np.concatenate([runner.run(image[None]) for image in IMAGES])
        with runner.with_canonical({WHOLE: Canonical(size=1)}) as pinned:
            assert isinstance(pinned, Clocked)
            assert pinned.run(IMAGES).tobytes() == singles.tobytes()
        watched(runner, IMAGES)
        with runner.with_canonical({"0": Canonical(size=2), "4": Canonical(size=2)}) as cut:
            assert cut.run(IMAGES)[:2].tobytes() == cut.run(IMAGES[:2]).tobytes()


def test_kernels_are_those_of_the_device_s_profiler() -> None:
    with opened() as runner:
        _, inputs, outputs = watched(runner, IMAGES)["0"]
        names = runner.kernels("0", inputs)
        assert any("conv" in name for name in names)
        assert runner.replay("0", inputs)[0].tobytes() == outputs[0].tobytes()
        with pytest.raises(NotImplementedError, match="scripts show differences of the CPU, and this layer ran on CPU"):
            runner.case("0", inputs)


def test_what_is_in_effect_is_told_and_fewer_bits_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as runner:
        effective = runner.effective()
        assert (effective.precision, effective.provider, effective.weight_layers) == ("fp32", "CPU", 2)
        assert "largest error of a test convolution" in effective.note
    monkeypatch.setattr(torch_device_runner, "convolution_error", lambda *_: 50_000.0)
    with opened(CudaOptions(tf32="on")) as runner:
        assert runner.effective().precision == "tf32"
    with opened(dtype=torch.float16) as runner:
        assert runner.effective().precision == "fp16"
    with opened() as runner, pytest.raises(RuntimeError, match=r"as TF32 does .*: nothing was kept"):
        runner.effective()


def test_the_test_convolution_tells_tf32_from_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    convolution = nn.functional.conv2d

    def with_ten_bits(given: Tensor, kernel: Tensor) -> Tensor:
        if given.dtype == torch.float32:
            given, kernel = ((x.view(torch.int32) & ~0x1FFF).view(torch.float32) for x in (given, kernel))
        return convolution(given, kernel)

    assert convolution_error(torch.float32, torch.contiguous_format, CPU) < torch_device_runner._FEWER_BITS / 4
    monkeypatch.setattr(nn.functional, "conv2d", with_ten_bits)
    assert convolution_error(torch.float32, torch.contiguous_format, CPU) > torch_device_runner._FEWER_BITS * 4


def test_canonical_shapes_are_made_where_the_rows_are() -> None:
    cut = InCanonicalShape(nn.Conv2d(3, 4, 3, device="meta"), size=2, up_to=0)
    for rows in (1, 2, 5):  # a tensor on another device would be refused
        made = cut(torch.empty((rows, 3, 8, 8), device="meta").to(memory_format=torch.channels_last))
        assert made.device.type == "meta" and made.shape == (rows, 4, 6, 6)


def test_rows_go_back_to_the_device_they_came_from() -> None:
    form = Form.of(torch.empty((2, 3, 4), device="meta").transpose(1, 2))
    again = memory_like(form, torch.ones(2, 4, 3))
    assert again.device.type == "meta" and again.stride() == form.stride


def test_a_user_s_module_gets_its_images_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_networks, "check_parameters", lambda module: None)  # meta stands for a device with values
    runner = ModuleRunner(net().to("meta").eval())
    assert runner._input(IMAGES).device.type == "meta"
