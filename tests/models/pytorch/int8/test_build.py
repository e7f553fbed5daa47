import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.ao.nn import quantized as nnq
from torch.ao.quantization import (
    HistogramObserver,
    MinMaxObserver,
    PerChannelMinMaxObserver,
    convert,
    get_default_qconfig,
    prepare,
    quantize_dynamic,
)

from isobatch.models.pytorch.int8.build import StaticInt8Runner, build_dynamic, build_static
from isobatch.models.pytorch.int8.calibration import activation_ranges, fused_network
from isobatch.models.pytorch.int8.modules import described, known_deprecations, quantized_engine, rebuilt
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.runner import Quantized
from isobatch.models.spec.words import Artifact, Network, RunnerSettings, VariantUnavailable
from isobatch.models.weights.networks import float_network
from isobatch.models.weights.random_weights import random_state
from tests.models.conftest import CLASSES

ENGINES = ("fbgemm", "x86", "onednn")
STATIC = tuple(f"int8-{engine}" for engine in ENGINES)
Built = Callable[[str], Artifact]


def opened(artifact: Artifact, name: str) -> Any:
    return load(find_variant(name).open)(artifact, RunnerSettings(threads=1))


def by_the_manual(request: BuildRequest, engine: str) -> nn.Module:
    """torch's documented eager flow, with the engine's default configuration."""
    images = request.calibration
    assert images is not None
    net = fused_network(request.network)
    with known_deprecations(), warnings.catch_warnings(), torch.inference_mode():
        warnings.filterwarnings("ignore", "Please use quant_min and quant_max", UserWarning)
        warnings.filterwarnings("ignore", "Default qconfig of oneDNN backend", UserWarning)  # on CPUs without VNNI
        net.qconfig = get_default_qconfig(engine)  # type: ignore[no-untyped-call]
        prepare(net, inplace=True)  # type: ignore[no-untyped-call]
        for start in range(0, len(images), 8):
            net(torch.from_numpy(images.read(start, min(start + 8, len(images)))))
        converted: nn.Module = convert(net, inplace=True)  # type: ignore[no-untyped-call]
    return converted


def assert_rebuilt_equals_torchs_own(request: BuildRequest, artifact: Artifact, name: str, images: np.ndarray) -> None:
    with quantized_engine(name.removeprefix("int8-")):
        net = by_the_manual(request, name.removeprefix("int8-"))
        with torch.inference_mode():
            expected = net(torch.from_numpy(images)).numpy()
    with opened(artifact, name) as runner:
        assert runner.run(images).tobytes() == expected.tobytes()
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("name", STATIC)
def test_the_rebuilt_network_gives_the_bytes_of_torchs_own_flow(
    name: str, resnet18_request: BuildRequest, resnet18_artifact: Built, images5: np.ndarray
) -> None:
    assert_rebuilt_equals_torchs_own(resnet18_request, resnet18_artifact(name), name, images5)


@pytest.mark.parametrize("model", ["mobilenet_v3_large", "shufflenet_v2_x0_5"])
def test_other_architectures_are_rebuilt_as_well(
    model: str, resnet18_request: BuildRequest, images5: np.ndarray, tmp_path: Path
) -> None:
    save_file(random_state(model, CLASSES), tmp_path / "weights.safetensors")
    network = Network(model, str(tmp_path / "weights.safetensors"), "", CLASSES)
    request = replace(resnet18_request, network=network)
    spec = find_variant("int8-x86")
    artifact = request.cache.get({"model": model}, lambda folder: build_static(spec, request, folder))
    assert_rebuilt_equals_torchs_own(request, artifact, "int8-x86", images5)


def test_dynamic_int8_gives_the_bytes_of_torchs_own_and_says_how_little_is_int8(
    resnet18_request: BuildRequest, resnet18_artifact: Built, images5: np.ndarray
) -> None:
    artifact = resnet18_artifact("int8-dynamic")
    with known_deprecations(), quantized_engine("x86"), torch.inference_mode():
        net = quantize_dynamic(float_network(resnet18_request.network), {nn.Linear}, torch.qint8)  # type: ignore[no-untyped-call]
        expected = net(torch.from_numpy(images5)).numpy()
    with opened(artifact, "int8-dynamic") as runner:
        assert runner.run(images5).tobytes() == expected.tobytes()
        effective = runner.effective()
    assert (effective.precision, effective.int8_layers, effective.weight_layers) == ("fp32+int8", 1, 21)
    assert artifact.manifest.notes == ("1 of 21 weight layers run in int8, the others in float32",)
    assert not isinstance(runner, Quantized)


def test_opening_runs_no_observer_and_quantizes_no_weight(
    resnet18_artifact: Built, images5: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = resnet18_artifact("int8-x86")
    for observer in (HistogramObserver, MinMaxObserver, PerChannelMinMaxObserver):
        monkeypatch.setattr(observer, "__init__", lambda *given, **options: pytest.fail("an observer was made"))
    with opened(artifact, "int8-x86") as runner:
        assert runner.run(images5).shape == (5, CLASSES)


def test_an_artifact_holds_only_numbers(resnet18_artifact: Built) -> None:
    folder = resnet18_artifact("int8-fbgemm").folder
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    layers = json.loads((folder / "layers.json").read_text())["layers"]
    assert layers["conv1"]["type"] == "ConvReLU2d" and layers["bn1"] == {"type": "Identity"}
    assert layers["quant"]["dtype"] == "quint8"


@pytest.mark.parametrize("name", STATIC)
def test_the_engine_is_in_effect_inside_and_put_back_outside(name: str, resnet18_artifact: Built) -> None:
    before = torch.backends.quantized.engine
    with opened(resnet18_artifact(name), name) as runner:
        assert torch.backends.quantized.engine == name.removeprefix("int8-")
        effective = runner.effective()
    assert torch.backends.quantized.engine == before
    assert effective.precision == "int8"
    assert (effective.int8_layers, effective.weight_layers) == (21, 21)
    assert f"torch.backends.quantized.engine = {name.removeprefix('int8-')}" in effective.provider


def test_all_engines_share_one_calibration(resnet18_request: BuildRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = activation_ranges(resnet18_request)
    monkeypatch.setattr(HistogramObserver, "forward", lambda *given: pytest.fail("observed a second time"))
    assert activation_ranges(resnet18_request) == ranges
    assert len(ranges) == 30  # 20 convolutions, 8 additions, the classifier and the input; the pooling keeps its scale
    low, high = ranges["quant.activation_post_process"]
    assert low < -1 and high > 1


def test_engines_differ_only_in_the_range_of_activations(resnet18_artifact: Built) -> None:
    stored = {name: (resnet18_artifact(name).folder / "weights.safetensors").read_bytes() for name in STATIC}
    assert stored["int8-fbgemm"] == stored["int8-x86"] == stored["int8-onednn"]
    layers = {
        name: json.loads((resnet18_artifact(name).folder / "layers.json").read_text())["layers"] for name in STATIC
    }
    assert layers["int8-fbgemm"] == layers["int8-x86"]
    reduced, full = (layers[name]["conv1"]["scale"] for name in ("int8-x86", "int8-onednn"))
    assert reduced / full == pytest.approx(255 / 127, rel=1e-6)
    assert [find_variant(name).recipe["reduce_range"] for name in STATIC] == [True, True, False]


def runner_of(net: nn.Module) -> StaticInt8Runner:
    return StaticInt8Runner(lambda: net, RunnerSettings(threads=1), {"engine": "fbgemm", "reduce_range": True})


class Adder(nn.Module):
    def __init__(self, zero_point: int) -> None:
        super().__init__()
        self.quant = nnq.Quantize(1.0, zero_point, torch.quint8)  # type: ignore[no-untyped-call]
        self.add = nnq.QFunctional()
        self.add.scale, self.add.zero_point = 1.0, 0
        self.dequant = nnq.DeQuantize()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        quantized = self.quant(images)
        out: torch.Tensor = self.dequant(self.add.add_relu(quantized, quantized))
        return out


@pytest.mark.parametrize(
    ("zero_point", "values", "quant", "add"),
    [
        (128, [0.0, 1.0, -127.0, 126.0], 0, 0),
        (128, [-128.0, -500.0, 127.0, 1.0], 0.25, 0),  # exactly on the input's limit nothing is lost
        (0, [0.0, -5.0, 255.0, 300.0], 0.25, 0.5),  # 0 stands for real zero, where a ReLU may well pile up
        (255, [0.0, 9.0, -255.0, -300.0], 0.25, 0),
    ],
)
def test_only_limits_that_are_not_real_zero_count_as_clipped(
    zero_point: int, values: list[float], quant: float, add: float
) -> None:
    images = np.array(values, np.float32).reshape(4, 1, 1, 1)
    with known_deprecations(), runner_of(Adder(zero_point)) as runner:
        shares = {name: lost / seen for name, (lost, seen) in runner.clip_counts(images).items()}
        assert not any(module._forward_hooks for module in runner.net.modules())
    assert shares == {"quant": quant, "add": add}


def test_every_quantized_layer_is_watched(resnet18_artifact: Built, images5: np.ndarray) -> None:
    with opened(resnet18_artifact("int8-onednn"), "int8-onednn") as runner:
        assert isinstance(runner, Quantized)
        counts = (runner.clip_counts(images5), runner.clip_counts(images5 * np.float32(100)))
    calm, wild = ({name: lost / seen for name, (lost, seen) in count.items()} for count in counts)
    assert len(calm) == 30 and {"quant", "conv1", "layer1.0.add_relu", "fc"} <= set(calm)
    assert calm["quant"] < 0.01 < 0.5 < wild["quant"] <= 1


def test_an_unknown_engine_is_unavailable() -> None:
    with (
        pytest.raises(VariantUnavailable, match="this torch has no quantized engine 'tensorrt', only "),
        quantized_engine("tensorrt"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("int8-x86", "torchvision has no such squeezenet1_0"),
        ("int8-dynamic", "squeezenet1_0 has no linear layer"),
    ],
)
def test_networks_that_cannot_be_quantized_are_unavailable(
    name: str, reason: str, resnet18_request: BuildRequest, tmp_path: Path
) -> None:
    save_file(random_state("squeezenet1_0", 3), tmp_path / "weights.safetensors")
    request = replace(resnet18_request, network=Network("squeezenet1_0", str(tmp_path / "weights.safetensors"), "", 3))
    build = build_dynamic if name == "int8-dynamic" else build_static
    with pytest.raises(VariantUnavailable, match=reason):
        build(find_variant(name), request, tmp_path)


def test_static_int8_needs_calibration_images(resnet18_request: BuildRequest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs calibration images"):
        build_static(find_variant("int8-x86"), replace(resnet18_request, calibration=None), tmp_path)


def test_a_module_that_cannot_be_stored_is_named_and_a_missing_tensor_too() -> None:
    original = nn.Sequential(nn.ELU(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="0 became a ELU, which cannot be stored"):
        described(nn.Sequential(nnq.ELU(1.0, 0), original[1]), original)  # type: ignore[no-untyped-call]
    with torch.device("meta"):
        empty = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(KeyError, match=r"no 0\.bias"):
        rebuilt(empty, {}, {"0.weight": torch.ones(2, 2)})


SATURATION = """
import warnings
from isobatch.models.pytorch.int8.modules import quantized_engine
from isobatch.models.pytorch.kernels import sums_saturate
warnings.simplefilter("ignore")
for engine in ("fbgemm", "x86", "onednn"):
    with quantized_engine(engine):
        print(sums_saturate(engine))
"""


def test_saturating_kernels_are_found_by_trying_them() -> None:
    caps = {"FBGEMM_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", SATURATION], env=caps, capture_output=True, text=True, cwd=Path(__file__).parents[4]
    )
    assert done.stdout.split() == ["True"] * 3, done.stderr
