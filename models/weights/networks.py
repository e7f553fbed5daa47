"""Networks by name: as empty shapes, as float networks with weights, as torchvision's quantizable twins."""

from collections.abc import Sequence
from functools import cache
from inspect import isfunction
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from isobatch.models.machine.out_of_memory import out_of_memory
from isobatch.models.shared.regular_files import Altered
from isobatch.models.spec.nearest import did_you_mean
from isobatch.models.spec.templates.network_torch import skeleton as empty_network
from isobatch.models.spec.templates.network_torch import with_tensors
from isobatch.models.spec.words import Network, VariantUnavailable
from isobatch.models.weights.digits.weights import fingerprint
from isobatch.models.weights.model_name import channels_of, read_name
from isobatch.models.weights.other_networks import check_timm, own_network, timm_network
from isobatch.models.weights.state_dicts import State
from isobatch.models.weights.torchvision_compat import torchvision


@cache
def known_models() -> tuple[str, ...]:
    """The names of torchvision's classifiers of NCHW images, sorted."""
    return tuple(torchvision.models.list_models(torchvision.models))


def check_known(model: str) -> None:
    """Raise ValueError, with the nearest known name, unless torchvision or timm has this classifier.

    Facts may follow the name in brackets; see ``isobatch.models.weights.model_name``. What a factory makes is not
    known before it is asked.
    """
    name = read_name(model)
    model = name.architecture
    if name.kind == "timm":
        check_timm(name)
    elif name.kind == "torchvision" and model not in known_models():
        raise ValueError(
            f"unknown model {model!r}: {did_you_mean(model, known_models())} All: {', '.join(known_models())}"
        )


def architecture(model: str, num_classes: int) -> nn.Module:
    """The float network of this name with its library's own initial values, in eval mode.

    Raises ValueError for an unknown name, with the nearest known one; FactoryError. torch's random state is left as it
    was. A factory's network has the classes that the factory gives it.
    """
    check_known(model)
    with torch.random.fork_rng(devices=[]):
        return _build(model, num_classes)


def skeleton(model: str, num_classes: int) -> nn.Module:
    """The float network whose values do not matter: without storage where possible. Raises as ``architecture``.

    Of torchvision's: others compute values while they are made, and keep some that no state dict holds.
    """
    if read_name(model).kind != "torchvision":
        return architecture(model, num_classes)
    try:
        with torch.device("meta"), _Unfilled():
            return architecture(model, num_classes)
    except NotImplementedError:  # RegNet computes its widths with tensors, which the meta device cannot
        return architecture(model, num_classes)


_FILLS = frozenset(fill for name, fill in vars(nn.init).items() if isfunction(fill) and name[-1] == "_")


class _Unfilled(TorchFunctionMode):
    """Leaves initial values undrawn. Without storage there is nothing to fill, and asking loads torch's compiler.

    For the meta device alone: elsewhere a sampler of torch may draw again until the values please it.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FILLS or func is Tensor.normal_:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def refusals(model: str, num_classes: int, sizes: Sequence[tuple[int, int]]) -> list[str | None]:
    """Why this network takes no images of each (height, width), in its own words; None where it takes them.

    Runs one image of each. torchvision's run with weights of zero, each held as a single number: asking for shapes
    alone would load torch's compiler, which takes longer.
    """
    net = skeleton(model, num_classes)
    if read_name(model).kind == "torchvision":
        net = with_state(net, {name: _zeros_like(tensor) for name, tensor in net.state_dict().items()})
    return [_refusal(net, torch.zeros(1, channels_of(model), *size)) for size in sizes]


def _refusal(net: nn.Module, image: Tensor) -> str | None:
    try:
        with torch.inference_mode():
            net(image)
    except Exception as error:  # networks check their input with errors of any kind
        if isinstance(error, MemoryError) or out_of_memory(error):
            raise
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _zeros_like(tensor: Tensor) -> Tensor:
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)


def quantizable_skeleton(model: str, num_classes: int) -> nn.Module | None:
    """The twin from ``torchvision.models.quantization``, float and without storage; None where there is no twin."""
    twin = f"quantized_{read_name(model).architecture}"
    if twin not in torchvision.models.list_models(torchvision.models.quantization):
        return None
    with torch.device("meta"), _Unfilled():
        return _build(model, num_classes, "quantized_", quantize=False)


def with_state(net: nn.Module, state: State) -> nn.Module:
    """A skeleton, in the mode it is in, with these very tensors, without gradients. Raises RuntimeError for others."""
    for parameter in with_tensors(net, state).parameters():  # a TorchScript module has no requires_grad_
        parameter.requires_grad_(False)
    return net


def read_state(path: Path) -> State:
    """The tensors of a safetensors file, in memory that torch aligned: addresses inside a mapped file are not."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def float_network(network: Network) -> nn.Module:
    """The float32 network under study, in eval mode. Raises VariantUnavailable where it is an ONNX file."""
    state = read_torch_weights(network)
    return with_state(skeleton(network.model, network.num_classes), state)


def read_torch_weights(network: Network) -> State:
    """The complete float32 state dict. Raises VariantUnavailable where the network is an ONNX file."""
    if network.onnx_path is not None:
        raise VariantUnavailable(
            f"{Path(network.onnx_path).name} is an ONNX file, and torch cannot run one",
            "choose the ort- variants, or name the --model and its --weights in place of --onnx",
        )
    return read_checked(Path(network.weights_path), network.weights_sha256)


def read_checked(path: Path, sha256: str) -> State:
    """The tensors of a file of resolved weights. Raises Altered where they are not those of this fingerprint."""
    state = read_state(path)
    if sha256 and (actual := fingerprint({name: tensor.numpy() for name, tensor in state.items()})) != sha256:
        raise Altered(f"{path} is not the file that was checked (its tensors have SHA-256 {actual[:8]}): run again")
    return state


def weight_layers(net: nn.Module) -> int:
    """How many convolutions and linear layers hold float weights."""
    return sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in net.modules())


def stem(net: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """The convolution that sees the images, by name: the first of the network; None where there is none."""
    return next(((name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d)), None)


def _build(model: str, num_classes: int, kind: str = "", **options: Any) -> nn.Module:
    """The network with the facts of its name; ``kind``: what torchvision puts before the name."""
    name = read_name(model)
    if name.kind == "factory":
        return own_network(name)
    if name.kind == "timm":
        return timm_network(name, num_classes).eval()
    net = empty_network({"model": str(name), "num_classes": num_classes}, kind, **options)
    if name.channels != 3 and (first := stem(net)) is not None:
        nn.init.kaiming_uniform_(first[1].weight)
    return net
