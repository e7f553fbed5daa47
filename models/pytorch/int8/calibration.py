"""The activation ranges that all static int8 variants of torch share: observed once, kept as an artifact."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.ao.quantization import HistogramObserver, default_per_channel_weight_observer, prepare
from torch.ao.quantization.observer import UniformQuantizationObserverBase

from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.registry import find_variant
from isobatch.models.shared.extras import to_add
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Json, Manifest, Network, VariantUnavailable
from isobatch.models.weights.model_name import told_name
from isobatch.models.weights.networks import quantizable_skeleton, read_torch_weights, with_state

Ranges = dict[str, tuple[float, float]]
"""By observer: the smallest and largest activation to represent, after the observer's search."""

_FILE = "ranges.json"
_OBSERVER = "HistogramObserver"
_BATCH = 8


def activation_ranges(request: BuildRequest) -> Ranges:
    """The ranges of the fused network's activations over ``request.calibration``, from the cache if it has them.

    HistogramObserver's own search for the range of least squared error, which knows 256 steps and nothing of engines.
    Raises VariantUnavailable as ``fused_network``, ValueError without calibration images.
    """
    network, images = request.network, request.images
    fields: dict[str, Json] = {
        "artifact": "activation-ranges",
        "model": network.model,
        "weights_sha256": network.weights_sha256,
        "images": {key: value for key, value in images.to_json().items() if key not in ("name", "path", "labels")},
        "observer": _OBSERVER,
        "batch_size": _BATCH,
        "torch": version("torch"),
        "torchvision": version("torchvision"),
    }
    artifact = request.cache.get(fields, lambda folder: _observe(request, folder))
    stored = json.loads((artifact.folder / _FILE).read_text())
    return {name: (low, high) for name, (low, high) in stored.items()}


def fused_network(network: Network) -> nn.Module:
    """The float32 quantizable twin with BatchNorm and ReLU fused into the convolutions, in eval mode.

    Raises VariantUnavailable where torchvision has no quantizable twin, or the network is an ONNX file.
    """
    state = read_torch_weights(network)
    net = quantizable_skeleton(network.model, network.num_classes)
    if net is None:
        called = told_name(network.model)
        raise VariantUnavailable(
            f"torch's eager mode quantizes what was written for it, and torchvision has no such {called}",
            f"choose ort-int8, int8-pt2e ({to_add('int8', *find_variant('int8-pt2e').requires)}) or ov-int8 "
            f"({to_add('openvino')})",
        )
    fused = with_state(net, state)
    fused.fuse_model(is_qat=False)  # type: ignore[operator]  # a method of torchvision's twins
    return fused


def prepared(net: nn.Module, activation: type[UniformQuantizationObserverBase], **options: Json) -> nn.Module:
    """The fused network with this observer of uint8 at every activation; weights int8, per channel, symmetric."""
    observer = activation.with_args(dtype=torch.quint8, **options)
    qconfig: Any = torch.ao.quantization.QConfig
    net.qconfig = qconfig(activation=observer, weight=default_per_channel_weight_observer)
    with known_deprecations():
        observed: nn.Module = prepare(net, inplace=True)  # type: ignore[no-untyped-call]
    return observed


def _observe(request: BuildRequest, folder: Path) -> Manifest:
    images = request.images
    net = prepared(fused_network(request.network), HistogramObserver)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            net(torch.from_numpy(images.read(start, min(start + _BATCH, len(images)))).clone())
            request.say(
                f"calibrating int8 on {images.name}: {min(start + _BATCH, len(images))} of {len(images)} images"
            )
    ranges = {name: _searched(module) for name, module in net.named_modules() if isinstance(module, HistogramObserver)}
    text = json.dumps({name: limits for name, limits in ranges.items() if limits is not None}, indent=1)
    (folder / _FILE).write_text(text)
    return Manifest(recipe={"observer": _OBSERVER, "images": len(images)}, size_bytes=len(text))


def _searched(observer: HistogramObserver) -> tuple[float, float] | None:
    """The range that loses least, or None where nothing passed: some operators of a twin are never called."""
    if observer.min_val > observer.max_val:
        return None
    low, high = observer._non_linear_param_search()
    return float(low), float(high)
