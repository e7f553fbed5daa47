import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from isobatch.models.pytorch.float import build, rounding
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Artifact, Network, RunnerSettings, VariantUnavailable
from isobatch.models.weights.state_dicts import State

FLOATS = ("fp64", "fp32", "fp16", "bf16")
Built = Callable[[str], Artifact]


def run(artifact: Artifact, images: np.ndarray) -> np.ndarray:
    with load(find_variant("fp32").open)(artifact, RunnerSettings(threads=1)) as runner:
        logits: np.ndarray = runner.run(images)
        return logits


def test_every_float_variant_computes_the_same_network(resnet18_artifact: Built, images5: np.ndarray) -> None:
    logits = {name: run(resnet18_artifact(name), images5).astype(np.float64) for name in FLOATS}
    size = np.abs(logits["fp64"]).max()
    worst = {name: float(np.abs(logits[name] - logits["fp64"]).max() / size) for name in FLOATS}
    assert 0 < worst["fp32"] < 1e-5 < worst["fp16"] < 0.02
    assert worst["fp16"] < worst["bf16"] < 0.2


def test_fp64_and_fp32_share_one_file_of_weights(resnet18_artifact: Built, resnet18_request: BuildRequest) -> None:
    inodes = {os.stat(resnet18_artifact(name).folder / "weights.safetensors").st_ino for name in ("fp64", "fp32")}
    assert inodes == {os.stat(resnet18_request.network.weights_path).st_ino}


def test_without_links_the_weights_are_copied(
    resnet18_request: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    build(find_variant("fp32"), resnet18_request, tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == Path(resnet18_request.network.weights_path).read_bytes()


@pytest.mark.parametrize(("name", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_half_types_are_stored_as_such_at_half_the_size(
    resnet18_artifact: Built, resnet18_state: State, name: str, dtype: torch.dtype
) -> None:
    artifact = resnet18_artifact(name)
    stored = load_file(artifact.folder / "weights.safetensors")
    assert torch.equal(stored["conv1.weight"], resnet18_state["conv1.weight"].to(dtype))
    assert stored["bn1.num_batches_tracked"].dtype == torch.int64
    full = resnet18_artifact("fp32").manifest.size_bytes
    assert 0.49 < artifact.manifest.size_bytes / full < 0.51


def test_an_artifact_holds_only_numbers(resnet18_artifact: Built) -> None:
    suffixes = {path.suffix for name in FLOATS for path in resnet18_artifact(name).folder.iterdir()}
    assert suffixes == {".json", ".safetensors"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (0, 0, 0)),
        ([0.0, -0.0, 1.0, 65504.0, 2.0**-14], (0, 0, 0)),
        ([65519.0, 65520.0, -7e4], (2, 0, 0)),  # 65520 is the first value that rounds up to infinity
        ([math.inf, -math.inf, math.nan], (0, 0, 0)),
        ([2.0**-25, 2.0**-26, 2.1**-25], (0, 3, 0)),  # a tie goes to even, which is zero
        ([2.0**-24, 2.0**-25 * 1.01, 6.0e-5, 2.0**-15], (0, 0, 4)),
    ],
)
def test_what_a_conversion_to_fp16_loses_is_counted(values: list[float], expected: tuple[int, int, int]) -> None:
    assert tuple(rounding(torch.tensor(values), torch.float16).values()) == expected


def test_overflowing_and_vanishing_weights_are_told_by_layer(
    resnet18_state: State, resnet18_request: BuildRequest, tmp_path: Path
) -> None:
    weight = torch.zeros_like(resnet18_state["fc.weight"])
    weight[0, :3] = torch.tensor([1e6, 1e-9, 1e-6])
    save_file(resnet18_state | {"fc.weight": weight}, tmp_path / "given.safetensors")
    network = Network("resnet18", str(tmp_path / "given.safetensors"), "", 7)
    notes = build(find_variant("fp16"), replace(resnet18_request, network=network), tmp_path).notes
    assert len(notes) == 3
    assert notes[0].startswith("1 of ") and notes[0].endswith(
        "weights overflow to infinity, so its results are not to be trusted in fp16: fc.weight 1"
    )
    assert "become zero in fp16" in notes[1] and "become subnormal" in notes[2]
    assert build(find_variant("bf16"), replace(resnet18_request, network=network), tmp_path).notes == ()


def test_an_onnx_file_has_no_torch_variant(resnet18_request: BuildRequest, tmp_path: Path) -> None:
    network = Network("", "", "", 10, onnx_path="net.onnx")
    with pytest.raises(VariantUnavailable, match=r"net\.onnx is an ONNX file"):
        build(find_variant("fp32"), replace(resnet18_request, network=network), tmp_path)
