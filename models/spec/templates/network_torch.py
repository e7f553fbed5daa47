"""The last part of every shipped network.py for torch: the stored numbers read, the network built, repaired and run."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isobatch.models.spec.templates.network_canonical import Cut, InCanonicalShape
from isobatch.models.spec.templates.network_compiled import Compiled
from isobatch.models.spec.templates.network_int8 import rebuilt, round_scales
from isobatch.models.spec.templates.network_torchvision import OPTIONS, compiler_later, operators_defined

# -- from here on: part of every script --

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
COMPUTED_IN = {name: getattr(torch, name) for name in ("float64", "float32", "float16", "bfloat16")}


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, each in memory that torch aligned: the format read by plain code."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = about["data_offsets"]
            kind = TYPES[about["dtype"]]
            values = torch.empty(0, dtype=kind)
            if last > first:
                values = torch.frombuffer(bytearray(data[start + first : start + last]), dtype=kind)
            tensors[name] = values.reshape(about["shape"]).clone()
    return tensors


def float_network(about: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """torchvision's network of that name with these tensors."""
    return with_tensors(skeleton(about), state).eval().requires_grad_(False)


def with_tensors(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A skeleton with these very tensors. Raises RuntimeError for others."""
    named = OrderedDict(state)
    # The versions of the modules, which a safetensors file does not carry: MNASNet refuses a state dict without.
    named._metadata = net.state_dict()._metadata  # type: ignore[attr-defined]
    net.load_state_dict(named, assign=True)
    return net


def quantized_network(about: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """The network with its int8 layers, packed for the current engine."""
    net = skeleton(about, "quantized_", quantize=False) if about["quantizable"] else skeleton(about)
    return rebuilt(net, about["layers"], state)


def skeleton(about: dict[str, Any], kind: str = "", **options: Any) -> nn.Module:
    """The network whose values do not matter yet; ``kind``: what torchvision puts before the name.

    Facts stand behind the name, as in ``resnet18[channels=1]``.
    """
    with compiler_later():
        from torchvision.models import get_model

    name, _, told = about["model"].rstrip("]").partition("[")
    facts = dict(fact.split("=") for fact in told.split(",") if fact)
    options |= OPTIONS.get(name, {})
    if facts.get("transform_input") == "no":
        options["transform_input"] = False
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = get_model(kind + name, weights=None, num_classes=about["num_classes"], **options)
    if channels := int(facts.get("channels", 0)):
        first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
        first.in_channels = channels
        first.weight = nn.Parameter(first.weight.new_zeros((first.out_channels, channels, *first.kernel_size)))
    return net.eval()


def with_repair(net: nn.Module, repair: dict[str, Any]) -> nn.Module:
    """The network with what its repair changes: its scales, or the shapes in which some of its layers run."""
    if repair.get("power_of_two_scales"):
        round_scales(net)
    for cut in repair.get("layers", ()):
        given, gave = tuple(cut["given"]), tuple(cut["gave"])
        in_shape(net, cut["module"], cut["methods"], Cut(cut["size"], cut["up_to"], cut["least"], given, gave))
    if whole := repair.get("whole"):
        return InCanonicalShape(net, whole["size"], whole["up_to"], whole["least"]).eval()
    return net


def in_shape(net: nn.Module, path: str, methods: list[str], cut: Cut) -> None:
    """Let one module, wherever it stands in the network, be called in the shapes of a cut."""
    module = net.get_submodule(path)
    if methods == ["forward"] and cut.of_one_tensor:
        places = [(parent, name) for parent in net.modules() for name, child in parent._modules.items()]
        instead = cut.around(module)
        for parent, name in places:
            if parent._modules[name] is module:
                parent._modules[name] = instead
        return
    for name in methods:
        module.__dict__[name] = called_in_parts(cut, getattr(module, name))


def called_in_parts(cut: Cut, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called with parts of its rows."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return cut(function, *args, **kwargs)

    return call


def turn(switches: dict[str, Any]) -> None:
    """Turn torch's documented switches, for the process."""
    for key, name in (("mkldnn", "enabled"), ("mkldnn_deterministic", "deterministic")):
        if key in switches:
            setattr(torch.backends.mkldnn, name, switches[key])
    if "deterministic_algorithms" in switches:
        torch.use_deterministic_algorithms(switches["deterministic_algorithms"])
    if "matmul_precision" in switches:
        torch.set_float32_matmul_precision(switches["matmul_precision"])


def opened(folder: Path, settings: dict[str, Any], threads: int) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """A function from float32 images [n, channels, height, width] to the network's outputs [n, ...].

    Sets torch's threads and quantized engine for the process. Outputs of bfloat16 come as their bits, uint16.
    """
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)  # only once in a process
    torch.set_num_threads(threads)
    torch.backends.quantized.engine = settings["engine"]
    turn(settings.get("switches", {}))
    definitions = operators_defined()
    state = tensors_of(folder / "weights.safetensors")
    if (folder / "layers.json").is_file():
        net = quantized_network(json.loads((folder / "layers.json").read_text(encoding="utf-8")), state)
    else:
        net = float_network(json.loads((folder / "network.json").read_text(encoding="utf-8")), state)
    kind, layout = COMPUTED_IN[settings["type"]], FORMATS[settings["memory_format"]]
    net = net.to(kind).to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's stubs
    repair = {}
    if (folder / "repair.json").is_file():
        repair = json.loads((folder / "repair.json").read_text(encoding="utf-8"))
    if settings.get("compiled"):
        net = Compiled(net, repair.get("one_graph", False))
    net = with_repair(net, repair)

    def run(images: NDArray[np.float32]) -> NDArray[Any]:
        # copied into memory that torch aligned: where numpy's array lies must not decide which kernel runs
        given = torch.from_numpy(images).to(dtype=kind, memory_format=layout, copy=True)
        with torch.inference_mode():
            outputs = net(given)
        values = outputs.view(torch.uint16) if outputs.dtype == torch.bfloat16 else outputs
        return np.array(values.numpy())

    if settings.get("compiled"):  # now, and not at the first calls
        for count in (1, 2):
            run(np.zeros((count, *settings["shape"]), np.float32))
    run.definitions = definitions  # type: ignore[attr-defined]  # dropped, they would take the operators away again
    return run
