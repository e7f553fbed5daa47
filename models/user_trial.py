"""A torch network of the user's tried on the study's own images: does it give each its own row, and what is in it?"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._ops import OpOverload

from isobatch.models.ort.calls import leaves_of, side_by_side
from isobatch.models.ort.trial import SEEN, NetworkTried, chosen, of_other_shapes
from isobatch.models.pytorch.calls import Call, Interceptor
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Network
from isobatch.models.user_copy import private_copy
from isobatch.models.user_factory import as_numbers, as_the_user_has_it, keyword_of
from isobatch.models.user_outputs import arrays, tensors, with_rows
from isobatch.models.user_types import in_own_types
from isobatch.models.weights.model_name import told_name
from isobatch.models.weights.networks import float_network
from isobatch.models.weights.state_dicts import WeightsError

_AS_ONNX = {"sigmoid": "Sigmoid", "sigmoid_": "Sigmoid", "_softmax": "Softmax", "_log_softmax": "LogSoftmax",
            "addmm": "Gemm", "linear": "Gemm", "mm": "Gemm"}  # fmt: skip


def tried(network: Network, sets: Sequence[Images], asked: str = "auto") -> list[NetworkTried]:
    """What came of one, two and a few images of each set; see ``isobatch.models.ort.trial.tried``.

    The network is made once, and each set runs in a copy of it. Raises WeightsError where an output has no row for each
    image, OnnxError where it has not the outcome ``asked``.
    """
    net = as_the_user_has_it(float_network(network))
    in_types = cache(lambda: in_own_types(network))
    return [_tried(private_copy(net), in_types, network, images, asked) for images in sets]


def _tried(
    net: nn.Module, in_types: Callable[[], nn.Module | None], network: Network, images: Images, asked: str
) -> NetworkTried:
    name, called = keyword_of(net), told_name(network.model)
    few = images.read(0, min(len(images), SEEN))
    pair = few[:2] if len(few) > 1 else np.concatenate([few, few])
    try:
        single, two = arrays(_called(net, pair[:1], name)), arrays(_called(net, pair, name))
    except Exception as error:  # networks check their input with errors of any kind
        refusal = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return NetworkTried(refusal, in_own_types=_takes(in_types(), pair))
    try:
        places = with_rows(single, two)
    except TypeError as error:
        raise WeightsError(f"{called}: {error}") from error
    if unlike := of_other_shapes({place: single[place] for place in places}, two):
        raise WeightsError(f"{called}: {unlike}")
    if shared := [place for place in single if place not in places]:
        raise WeightsError(
            f"{called}: its output {shared[0]!r} is the same for all images; let the network give what is of "
            "each image alone"
        )
    try:
        result = _called(net, few, name)
    except Exception:  # of so many at once: what runs them says so, of the N at which it does
        few, result = pair, _called(net, pair, name)
    outputs = arrays({place or "output": _compared(value) for place, value in tensors(result).items()})
    rows = side_by_side(outputs, len(few))
    return NetworkTried(None, chosen(_last_operators(net, few[:1], name), leaves_of(outputs), rows, asked))


def _takes(net: nn.Module | None, images: NDArray[Any]) -> bool:
    try:
        return net is not None and bool(arrays(_called(net, images, keyword_of(net))))
    except Exception:  # as above
        return False


def _compared(values: Tensor) -> Tensor:
    numbers = as_numbers(values)
    return numbers.float() if numbers.dtype == torch.bfloat16 else numbers  # numpy has none, and float32 holds it


def _called(net: Callable[..., Any], images: NDArray[Any], keyword: str) -> Any:
    given = torch.from_numpy(np.ascontiguousarray(images))
    with torch.inference_mode():
        return net(**{keyword: given}) if keyword else net(given)


def _last_operators(net: nn.Module, images: NDArray[Any], keyword: str) -> dict[str, str]:
    """By output what ONNX calls the operation that computed it, seen through views; nothing for other operations."""
    computed: list[tuple[Tensor, str]] = []  # held, so that no memory is used twice

    def noted(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = function(*args, **kwargs)
        if isinstance(call.original, OpOverload) and isinstance(result, Tensor):
            computed.append((result, _AS_ONNX.get(call.original.overloadpacket.__name__, "")))
        return result

    outputs = tensors(_called(Interceptor(net, noted), images, keyword))
    kinds = {tensor.data_ptr(): kind for tensor, kind in computed}
    return {place or "output": kinds.get(tensor.data_ptr(), "") for place, tensor in outputs.items()}
