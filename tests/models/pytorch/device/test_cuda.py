"""A CUDA device's switches and facts, as far as a machine without one goes: torch keeps the switches in every build."""

from __future__ import annotations

import pytest
import torch

from isobatch.models.pytorch.device.cuda import WORKSPACE, Cuda, driver_version, switches
from isobatch.models.spec.words import CudaOptions

DEVICE = Cuda()


@pytest.mark.parametrize("word", ["off", "on"])
def test_switches_hold_within_are_read_back_and_put_back(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, ":4096:8")
    before = switches()
    asked = CudaOptions(tf32=word, cudnn_benchmark=word, deterministic=word, cublas_workspace=":4096:8")
    with pytest.raises(KeyError), DEVICE.opened(asked):
        in_effect = switches()
        assert {in_effect[name] for name in in_effect if "TF32" in name or "cuDNN" in name or "deter" in name} == {word}
        raise KeyError
    assert switches() == before


def test_tf32_by_default_is_as_torch_has_it() -> None:
    before = switches()
    with DEVICE.opened(CudaOptions(tf32="default")):
        assert switches() == before


def test_a_workspace_that_did_not_reach_the_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKSPACE, raising=False)
    before = switches()
    refused = pytest.raises(RuntimeError, match="is not set, and :16:8 was asked for")
    with refused, DEVICE.opened(CudaOptions(cublas_workspace=":16:8")):
        raise AssertionError("it must not get here")
    assert switches() == before


def test_a_switch_that_another_hand_turned_is_found() -> None:
    options = CudaOptions()
    with DEVICE.opened(options):
        DEVICE.check(options)
        torch.backends.cudnn.benchmark = True
        with pytest.raises(RuntimeError, match="cuDNN benchmark is on, and off was asked for: nothing was kept"):
            DEVICE.check(options)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  515.65.01  Wed Mar 16 11:24:05 UTC 2022\nGCC 12.2.0",
            "515.65.01",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  555.42.06  Release Build  (a@b)", "555.42.06"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build", "540.4.0"),
        ("", "unknown"),
    ],
)
def test_the_driver_s_version_is_read_from_the_kernel_module(text: str, version: str) -> None:
    assert driver_version(text) == version
