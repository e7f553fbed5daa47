"""torch's int8 in eager mode: static with one shared calibration, and dynamic; stored as plain numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.ao.nn import quantized as nnq
from torch.ao.quantization import MinMaxObserver, convert, quantize_dynamic

from isobatch.models.pytorch.int8.calibration import Ranges, activation_ranges, fused_network, prepared
from isobatch.models.pytorch.int8.integer import IntegerTorchRunner
from isobatch.models.pytorch.int8.modules import described, int8_layers, known_deprecations, quantized_engine, rebuilt
from isobatch.models.pytorch.kernels import sums_saturate
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.repairable import Scales
from isobatch.models.spec.runner import Canonical
from isobatch.models.spec.templates.network_int8 import round_scales
from isobatch.models.spec.words import (
    Artifact,
    Effective,
    Json,
    Manifest,
    RunnerSettings,
    VariantSpec,
    VariantUnavailable,
)
from isobatch.models.weights.model_name import told_name
from isobatch.models.weights.networks import float_network, quantizable_skeleton, read_state, skeleton, weight_layers

WEIGHTS_FILE = "weights.safetensors"
LAYERS_FILE = "layers.json"
_PROVIDERS = {"fbgemm": "FBGEMM", "x86": "oneDNN or FBGEMM, by operation", "onednn": "oneDNN"}
_HIGHEST = 255
_REDUCED = 127


def build_static(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """Quantize weights and activations for ``spec.recipe["engine"]``, with the ranges that all engines share.

    Raises VariantUnavailable without a quantizable twin or without the engine; ValueError without calibration images.
    """
    network, recipe = request.network, spec.recipe
    original = quantizable_skeleton(network.model, network.num_classes)
    with quantized_engine(recipe["engine"]):
        ranges = activation_ranges(request)
        net = quantized(fused_network(network), ranges, recipe["reduce_range"])
    assert original is not None  # fused_network would have said so
    return _store(net, original, request, recipe, folder)


def build_dynamic(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """Quantize what torch's dynamic quantization can: the linear layers.

    Raises VariantUnavailable where there are none, without the engine, or where the network is an ONNX file.
    """
    network, original = request.network, float_network(request.network)
    with quantized_engine(spec.recipe["engine"]), known_deprecations():
        net = quantize_dynamic(original, {nn.Linear}, torch.qint8)  # type: ignore[no-untyped-call]  # a copy
    if not int8_layers(net):
        raise VariantUnavailable(
            f"{told_name(network.model)} has no linear layer, and torch's dynamic quantization converts nothing else",
            "choose ort-int8-dynamic, which converts convolutions",
        )
    return _store(net, original, request, spec.recipe, folder)


def quantized(fused: nn.Module, ranges: Ranges, reduce_range: bool) -> nn.Module:
    """The fused network converted for the current engine, its activations scaled to these ranges.

    ``reduce_range``: activations span 128 of the 256 steps, so that two products fit into 16 bits.
    """
    # as reduce_range=True, which torch deprecates in favour of naming the limits
    limits = {"quant_min": 0, "quant_max": _REDUCED} if reduce_range else {}
    net = prepared(fused, MinMaxObserver, **limits)
    for name, (low, high) in ranges.items():
        observer: Any = net.get_submodule(name)
        observer.min_val, observer.max_val = torch.tensor(low), torch.tensor(high)
    with known_deprecations():
        converted: nn.Module = convert(net, inplace=True)  # type: ignore[no-untyped-call]
    return converted


def open_static(artifact: Artifact, settings: RunnerSettings) -> StaticInt8Runner:
    """A runner whose activations can be watched."""
    runner = StaticInt8Runner(partial(load_network, artifact.folder), settings, artifact.manifest.recipe)
    runner.ship(artifact.folder / WEIGHTS_FILE, artifact.folder / LAYERS_FILE)
    return runner


def open_dynamic(artifact: Artifact, settings: RunnerSettings) -> Int8Runner:
    """A runner of a dynamically quantized network."""
    runner = Int8Runner(partial(load_network, artifact.folder), settings, artifact.manifest.recipe)
    runner.ship(artifact.folder / WEIGHTS_FILE, artifact.folder / LAYERS_FILE)
    return runner


def load_network(folder: Path) -> nn.Module:
    """The quantized network of an artifact, packed for the current engine."""
    about = json.loads((folder / LAYERS_FILE).read_text())
    make = quantizable_skeleton if about["quantizable"] else skeleton
    net = make(about["model"], about["num_classes"])
    assert net is not None
    return rebuilt(net, about["layers"], read_state(folder / WEIGHTS_FILE))


class Int8Runner(IntegerTorchRunner):
    """A network with int8 weights, run by the engine of its recipe. Entering raises VariantUnavailable without it."""

    def __init__(self, load: Any, settings: RunnerSettings, recipe: Mapping[str, Json]) -> None:
        super().__init__(load, settings)
        self._recipe = recipe

    def _prepare(self, stack: ExitStack) -> None:
        super()._prepare(stack)
        stack.enter_context(quantized_engine(self._recipe["engine"]))

    def effective(self) -> Effective:
        """The engine in effect, the int8 layers really there, and whether its sums can saturate here."""
        integer, floating = int8_layers(self.net), weight_layers(self.net)
        kinds = [name for count, name in sorted([(integer, "int8"), (floating, "fp32")], reverse=True) if count]
        engine = torch.backends.quantized.engine
        provider = f"{_PROVIDERS[engine]} (torch.backends.quantized.engine = {engine})"
        return Effective("+".join(kinds), provider, integer, integer + floating, self._saturation(engine))

    def with_scales(self, kind: Scales, examples: NDArray[np.float32]) -> Self:
        """A runner with other activation scales. Raises VariantUnavailable where they cannot be had."""
        units = self.layers(examples[:1]) if kind == "per-sample" else {}
        if dynamic := [name for name, unit in units.items() if unit.layer.kind.startswith("dynamic-")]:
            return self.with_canonical(dict.fromkeys(dynamic, Canonical(size=1)))
        if kind == "power-of-two":
            net = self._loaded()  # packed anew: oneDNN keeps what it prepared for the scales first seen
            if round_scales(net):
                twin = self.twin(net)
                twin.change = {"power_of_two_scales": True}
                return twin
        raise VariantUnavailable(
            f"torch's int8 modules here know no {kind} scales", "choose another repair of this variant"
        )

    def _saturation(self, engine: str) -> str:
        if not sums_saturate(engine):
            return ""
        reduced = self._recipe["reduce_range"]
        consequence = "reduce_range leaves room up to the calibrated range" if reduced else "results can be far off"
        return f"partial sums clip at 16 bits here, as on CPUs without VNNI: {consequence}"


class StaticInt8Runner(Int8Runner):
    """Watches the activations of a statically quantized network."""

    def clip_counts(self, images: NDArray[np.float32]) -> dict[str, tuple[int, int]]:
        """Per quantized layer how many values are at 0 or 255, real zero excepted, of how many.

        Of the network's input the real values are at hand: there only those count that lose more than one step. A
        constant background, black or white, lies exactly on the calibrated limit and loses nothing.
        """
        clipped: dict[str, int] = {}
        seen: dict[str, int] = {}

        def count(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
            values = output.int_repr().numpy()
            limits = [limit for limit in (0, _HIGHEST) if limit != output.q_zero_point()]
            counted: Any = True
            if isinstance(module, nnq.Quantize):
                counted = (inputs[0] - output.dequantize()).abs().numpy() > output.q_scale()
            at_limit = sum(int(np.count_nonzero((values == limit) & counted)) for limit in limits)
            clipped[name] = clipped.get(name, 0) + at_limit
            seen[name] = seen.get(name, 0) + values.size

        with ExitStack() as stack:
            for name, module in _quantizing(self.net):
                stack.callback(module.register_forward_hook(partial(count, name)).remove)
            self.run(images)
        return {name: (clipped[name], seen[name]) for name in seen}


def _quantizing(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules whose outputs are rounded to a scale of their own, by the name of their layer."""
    for name, module in net.named_modules():
        if isinstance(module, nnq.QFunctional):
            yield name, module.activation_post_process  # its operators are methods, which end in this call
        elif hasattr(module, "scale") and hasattr(module, "zero_point"):
            yield name, module


def _store(
    net: nn.Module, original: nn.Module, request: BuildRequest, recipe: Mapping[str, Json], folder: Path
) -> Manifest:
    layers, state = described(net, original)
    network = request.network
    about = {"model": network.model, "num_classes": network.num_classes, "quantizable": hasattr(original, "fuse_model")}
    save_file(state, folder / WEIGHTS_FILE)
    (folder / LAYERS_FILE).write_text(json.dumps(about | {"layers": layers}, indent=1))
    integer, total = int8_layers(net), int8_layers(net) + weight_layers(net)
    notes = () if integer == total else (f"{integer} of {total} weight layers run in int8, the others in float32",)
    size_bytes = sum((folder / name).stat().st_size for name in (WEIGHTS_FILE, LAYERS_FILE))
    return Manifest(recipe, size_bytes, notes=notes)
