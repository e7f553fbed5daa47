"""Interventions at torch layers: the same kernels with other operands, wider types, fewer threads, and their logs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.pytorch.kernel_log import _name
from isobatch.models.spec.interventions import Logged, Probed, Threaded, Widened
from isobatch.models.spec.words import RunnerSettings
from tests.models.pytorch.small_networks import Attention, pixels, seeded, watched

IMAGES = pixels(3)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, stride=2, groups=2),
        nn.Flatten(),
        nn.Linear(392, 5),
    )


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def runner(request: pytest.FixtureRequest) -> Iterator[ExaminedTorchRunner]:
    with ExaminedTorchRunner(lambda: seeded(net), RunnerSettings(threads=1), dtype=request.param) as opened:
        yield opened


def test_it_offers_what_the_interventions_ask_for(runner: ExaminedTorchRunner) -> None:
    assert all(isinstance(runner, protocol) for protocol in (Widened, Probed, Logged, Threaded))


def test_its_own_operands_give_the_bytes_of_a_replay(runner: ExaminedTorchRunner) -> None:
    seen = watched(runner, IMAGES)
    for name in ("0", "2", "4"):
        _, inputs, outputs = seen[name]
        products = runner.products(name)
        assert products is not None and not products.weight.flags.writeable
        computed = runner.with_operands(name, inputs, products.weight, products.bias)
        assert computed[0].tobytes() == outputs[0].tobytes()
    assert runner.products("1") is None and runner.products("0").bias is None  # type: ignore[union-attr]


def test_other_operands_are_used_and_leave_no_trace(runner: ExaminedTorchRunner) -> None:
    _, inputs, outputs = watched(runner, IMAGES)["4"]
    products = runner.products("4")
    assert products is not None and products.bias is not None
    computed = runner.with_operands("4", inputs, np.zeros_like(products.weight), products.bias)
    assert (computed[0] == products.bias).all()
    assert runner.replay("4", inputs)[0].tobytes() == outputs[0].tobytes()


def test_a_weight_keeps_its_place_in_memory() -> None:
    layer = nn.Linear(9, 5)
    shifted = torch.zeros(5 * 9 + 3)[3:].view(5, 9)
    layer.weight = nn.Parameter(shifted, requires_grad=False)
    places = []

    class Spy(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places.append((self.weight.data_ptr() % 64, self.weight.stride()))
            return super().forward(x)

    layer.__class__ = Spy
    rows = pixels(2, side=1)[:, :1].repeat(9, axis=1)
    with ExaminedTorchRunner(lambda: nn.Sequential(nn.Flatten(), layer), RunnerSettings(threads=1)) as opened:
        _, inputs, _ = watched(opened, rows)["1"]
        opened.with_operands("1", inputs, np.ones((5, 9), np.float32), np.ones(5, np.float32))
    assert len(set(places)) == 1 and places[0][0] != 0


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_wider_layer_is_the_same_operation(runner: ExaminedTorchRunner, kind: str) -> None:
    seen = watched(runner, IMAGES)
    for name in ("0", "1", "2", "4"):
        _, inputs, outputs = seen[name]
        (wide,) = runner.widened(name, inputs, kind)  # type: ignore[arg-type]
        assert wide.dtype == kind and wide.shape == outputs[0].shape
        assert np.abs(wide - outputs[0].astype(np.float64)).max() < 0.05
        assert runner.replay(name, inputs)[0].tobytes() == outputs[0].tobytes()


def test_operations_between_modules_are_widened_too() -> None:
    with ExaminedTorchRunner(lambda: seeded(lambda: Attention(True)), RunnerSettings(threads=1)) as opened:
        for name, (_, inputs, outputs) in watched(opened, IMAGES).items():
            (wide, *_) = opened.widened(name, inputs, "float64")
            assert wide.dtype == np.float64 and np.abs(wide - outputs[0]).max() < 1e-4


def test_the_logs_name_kernels_and_stay_off_standard_output(
    runner: ExaminedTorchRunner, capfd: pytest.CaptureFixture[str]
) -> None:
    _, inputs, outputs = watched(runner, IMAGES)["0"]
    sys.stdout.write("before\n")
    names = runner.kernels("0", inputs)
    sys.stdout.write("after\n")
    assert capfd.readouterr().out == "before\nafter\n"
    assert names and all(name.startswith(("oneDNN ", "MKL ", "torch backend ")) for name in names)
    assert runner.replay("0", inputs)[0].tobytes() == outputs[0].tobytes()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (
            "onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx2,forward_training,src:f32:a:blocked:aBcd8b::f0 "
            "wei:f32:a:blocked:ABcd8b8a::f0 bia:f32:a:blocked:a::f0 dst:f32:a:blocked:aBcd8b::f0,"
            "attr-scratchpad:user,alg:convolution_direct,mb2_ic64oc64,16.113",
            "oneDNN convolution, jit:avx2, convolution_direct, src f32 aBcd8b, wei f32 ABcd8b8a, dst f32 aBcd8b",
        ),
        ("onednn_verbose,v1,primitive,exec,cpu,reorder,jit:blk,undef,src:f32::blocked:abcd::f0,,,2x64,12.8", None),
        ("onednn_verbose,v1,info,oneDNN v3.12.0", None),
        ("MKL_VERBOSE SGEMM(T,N,1000,1,2048,0x7f,2048) 467.96us CNR:OFF Dyn:0 TID:0  NThr:2", "MKL SGEMM on 2 threads"),
        ("MKL_VERBOSE SGEMV(T,1000,2048) 4us CNR:OFF Dyn:0 TID:0  NThr:1", "MKL SGEMV on 1 thread"),
        ("MKL_VERBOSE oneMKL 2024.0 Update 2 Product build 20240605 for Intel(R) 64", None),
        ("a line of the user's own, exec", None),
    ],
)
def test_a_line_of_a_log_is_condensed(line: str, name: str | None) -> None:
    assert _name(line) == name


def test_one_thread_ends_with_the_block(runner: ExaminedTorchRunner) -> None:
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="stop"), runner.one_thread():
            assert torch.get_num_threads() == 1
            raise ValueError("stop")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
