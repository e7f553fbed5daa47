"""int8 by torchao's PT2E: quantized as a graph, stored as plain numbers, lowered to oneDNN once per shape of input."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from isobatch.models.pytorch.runner import TorchRunner
from isobatch.models.registry import versions
from isobatch.models.shared.extras import to_add
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import (
    Artifact,
    Effective,
    Manifest,
    RunnerSettings,
    VariantSpec,
    VariantUnavailable,
)
from isobatch.models.weights.model_name import channels_of
from isobatch.models.weights.networks import float_network, read_state, skeleton, stem
from isobatch.models.weights.state_dicts import State

WEIGHTS_FILE = "weights.safetensors"
GRAPH_FILE = "graph.json"
_BATCH = 8
_QUANTIZE = "quantized_decomposed.quantize_per_tensor.default"
_DEQUANTIZE = "quantized_decomposed.dequantize_per_tensor.default"
_INTEGER = ("onednn.qconv", "onednn.qlinear")


def build(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """Calibrate on ``request.calibration``, quantize, and store int8 weights and scales.

    Raises VariantUnavailable without the torchao that the spec requires or where the network is an ONNX file;
    ValueError without calibration images.
    """
    _check_torchao(spec)
    network, images = request.network, request.images
    net = float_network(network)
    with _quiet(), torch.no_grad():
        size = images.shape[2], images.shape[3]
        observed = _observed(net, size)
        for start in range(0, len(images), _BATCH):
            observed(torch.from_numpy(images.read(start, min(start + _BATCH, len(images)))))
        graph = _converted(observed)
    state = _used(graph)
    save_file(state, folder / WEIGHTS_FILE)
    scales = {node.name: list(node.args[1:3]) for node in _rounded(graph)}  # and zero points, by node
    about = {"model": network.model, "num_classes": network.num_classes, "size": size, "scales": scales}
    (folder / GRAPH_FILE).write_text(json.dumps(about, indent=1))
    size_bytes = sum((folder / name).stat().st_size for name in (WEIGHTS_FILE, GRAPH_FILE))
    return Manifest(spec.recipe, size_bytes)


def open_runner(artifact: Artifact, settings: RunnerSettings) -> Pt2eRunner:
    """A runner that lowers the graph at the first call of each shape."""
    runner = Pt2eRunner(partial(load_network, artifact.folder), settings)
    runner.unwritten = "it is lowered for each shape by torchao, which no loader of numbers does"
    return runner


def load_network(folder: Path) -> LoweredPerShape:
    """The quantized graph of an artifact, not yet lowered for any shape."""
    about = json.loads((folder / GRAPH_FILE).read_text())
    empty = skeleton(about["model"], about["num_classes"]).to_empty(device="cpu").requires_grad_(False)
    for tensor in (*empty.parameters(), *empty.buffers()):
        tensor.zero_()
    with _quiet(), torch.no_grad():
        observed = _observed(empty, about["size"])
        # observers learn their shapes from a first call
        observed(torch.zeros(1, channels_of(about["model"]), *about["size"]))
        graph = _converted(observed)
        stored = read_state(folder / WEIGHTS_FILE)
        if stored.keys() != _used(graph).keys():
            raise ValueError(f"{folder / WEIGHTS_FILE} does not fit the graph of this torch and torchao: delete it")
        graph.load_state_dict(stored, strict=False)
        for node in _rounded(graph):
            node.args = (node.args[0], *about["scales"][node.name], *node.args[3:])
    graph.recompile()
    return LoweredPerShape(graph)


class LoweredPerShape(nn.Module):
    """A quantized graph that is lowered to integer kernels for every shape it meets: lowering fixes the shape."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.graph_module = graph
        self.lowered: dict[torch.Size, fx.GraphModule] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, 3, h, w], by the graph of this shape; seconds more at the first call."""
        if images.shape not in self.lowered:
            self.lowered[images.shape] = self._lower(images.shape)
        logits: Tensor = self.lowered[images.shape](images)
        return logits

    def _lower(self, shape: torch.Size) -> fx.GraphModule:
        lower = _lowering()
        with _quiet(), torch.inference_mode(False), torch.no_grad():
            lowered = lower(self.graph_module, (torch.zeros(shape),))
        if not integer_layers(lowered):
            raise RuntimeError(f"lowering for {list(shape)} left no integer kernel: the graph would run in float")
        return lowered


class Pt2eRunner(TorchRunner):
    """Counts integer kernels in the graphs that really ran, and watches where activations clip."""

    def effective(self) -> Effective:
        """The fewest integer layers of any lowered graph. Raises RuntimeError before the first call of ``run``."""
        net: Any = self.net
        if not net.lowered:
            raise RuntimeError("nothing was run yet, and only running decides what is lowered to integer kernels")
        layers = len(list(_calls(net.graph_module, "aten.conv2d.default", "aten.linear.default")))
        integer = min(integer_layers(graph) for graph in net.lowered.values())
        precision = "int8" if integer == layers else "int8+fp32"
        note = "the first call of each shape lowers a graph of its own"
        return Effective(precision, "oneDNN (lowered PT2E graph)", integer, layers, note)

    def clip_counts(self, images: NDArray[np.float32]) -> dict[str, tuple[int, int]]:
        """Per quantized activation, by its node, how many values are at a limit other than real zero, of how many.

        Taken from the graph before it is lowered, whose rounding steps are visible.
        """
        net: Any = self.net
        watch = _ClipCounter(net.graph_module)
        with torch.inference_mode():
            watch.run(self._input(images))
        return watch.counts


class _ClipCounter(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.counts: dict[str, tuple[int, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if str(n.target) == _QUANTIZE:
            source, _, zero_point, *limits = n.args[:5]
            values = result.numpy()
            clipped = sum(int(np.count_nonzero(values == limit)) for limit in limits if limit != zero_point)
            self.counts[str(source)] = (clipped, values.size)
        return result


def integer_layers(graph: fx.GraphModule) -> int:
    """How many calls of oneDNN's integer convolution and linear kernels a lowered graph makes."""
    return len(list(_calls(graph, *_INTEGER)))


def _calls(graph: fx.GraphModule, *prefixes: str) -> Iterator[fx.Node]:
    for node in graph.graph.nodes:
        if node.op == "call_function" and str(node.target).startswith(prefixes):
            yield node


def _rounded(graph: fx.GraphModule) -> Iterator[fx.Node]:
    return _calls(graph, _QUANTIZE, _DEQUANTIZE)


def _used(graph: fx.GraphModule) -> State:
    """The tensors that the graph reads: the float weights are still there, but nothing uses them."""
    used = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    return {name: tensor.contiguous() for name, tensor in graph.state_dict().items() if name in used}


def _observed(net: nn.Module, size: Sequence[int]) -> fx.GraphModule:
    """The network as a graph with observers in it. ``size``: of images that it takes; other sizes stay free with it."""
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    free = torch.export.Dim.AUTO
    first = stem(net)
    example = torch.zeros(2, first[1].in_channels if first else 3, *size)
    # strict: the quantizer finds its patterns by the sources that only a strict export records
    program = torch.export.export(net, (example,), dynamic_shapes=({0: free, 2: free, 3: free},), strict=True)
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    observed: fx.GraphModule = prepare_pt2e(program.module(), quantizer)
    return observed


def _converted(observed: fx.GraphModule) -> fx.GraphModule:
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    graph: fx.GraphModule = convert_pt2e(observed)
    move_exported_model_to_eval(graph)
    return graph


def _lowering() -> Callable[[fx.GraphModule, tuple[Tensor, ...]], fx.GraphModule]:
    from torchao.quantization.pt2e.lowering import lower_pt2e_quantized_to_x86

    lower: Callable[[fx.GraphModule, tuple[Tensor, ...]], fx.GraphModule] = lower_pt2e_quantized_to_x86
    return lower


def _check_torchao(spec: VariantSpec) -> None:
    (required,) = spec.requires
    name, _, version = required.partition("==")
    installed = versions(spec).get(name)
    if installed != version:
        what = f"{name} {installed} is installed, not {version}" if installed else f"{name} is not installed"
        raise VariantUnavailable(what, to_add("int8", required))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the two warnings that torch 2.13 gives of classes that it uses itself, and no others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script_method` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        yield
