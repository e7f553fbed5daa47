"""Real networks in which no layer depends on N, by construction: every layer runs its rows one by one.

They hold one planted fault, or none. Small ones, whose weights and images come from a seed, and ResNet50 itself with
the embedded weights.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.ao.quantization import DeQuantStub, MinMaxObserver, QuantStub, convert, fuse_modules

from isobatch.models.planted import BFLOAT16, INT8, RESNET50, Fault
from isobatch.models.pytorch.calls import shallow_copy
from isobatch.models.pytorch.int8.build import StaticInt8Runner
from isobatch.models.pytorch.int8.calibration import prepared
from isobatch.models.pytorch.int8.integer import IntegerTorchRunner
from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.registry import load
from isobatch.models.spec.templates.network_canonical import InCanonicalShape
from isobatch.models.spec.words import RunnerSettings
from isobatch.models.weights.digits.weights import state_dict
from isobatch.models.weights.networks import skeleton, with_state

NUM_CLASSES = 10  # not a multiple of the lanes of any vector unit
_SIDE, _RESNET50_SIDE = 16, 64
_CALIBRATION = 16
_LIFT = 4.0  # of a bias: results far above zero, where float32 is coarse and two orders of roundings part more often
_FUSED = [["stem", "act1"], ["conv2", "act2"]]
_OF_RESNET50 = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AdaptiveAvgPool2d)  # what adds, and so may depend on N
_ACTIVATIONS = (nn.ReLU, nn.Hardswish, nn.Sigmoid, nn.Tanh)


def pixels(count: int, seed: int, network: str = "") -> NDArray[np.float32]:
    """Images [count, 3, 16, 16] of normal noise; [count, 3, 64, 64] for ResNet50."""
    side = _RESNET50_SIDE if network == RESNET50 else _SIDE
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((count, 3, side, side), np.float32)


def open_planted(fault: Fault, threads: int, seed: int) -> IntegerTorchRunner:
    """A runner of a network with this fault in its layer, and none elsewhere. Enter it to use it.

    Entering raises VariantUnavailable where torch lacks the engine of an int8 network.
    """
    settings = RunnerSettings(threads=threads)
    plant = load(fault.plant)
    if fault.network == INT8:
        recipe = {"engine": "x86", "reduce_range": False}
        return StaticInt8Runner(lambda: _row_by_row(_int8_network(seed), fault.layer, plant), settings, recipe)
    if fault.network == RESNET50:
        return IntegerTorchRunner(lambda: _row_by_row(_resnet50(), fault.layer, plant, _OF_RESNET50), settings)
    dtype = torch.bfloat16 if fault.network == BFLOAT16 else torch.float32
    return IntegerTorchRunner(lambda: _row_by_row(_float_network(seed), fault.layer, plant), settings, dtype)


def open_innocent(threads: int, seed: int) -> IntegerTorchRunner:
    """A runner of a small network of random design without any fault."""
    return IntegerTorchRunner(lambda: _row_by_row(_random_network(seed)), RunnerSettings(threads=threads))


def _row_by_row(
    net: nn.Module,
    layer: str = "",
    plant: Callable[[nn.Module], nn.Module] | None = None,
    kinds: tuple[type[nn.Module], ...] = (),
) -> nn.Module:
    """The network with its layers in calls of one row; the named one is replaced by its faulty twin as it is.

    ``kinds``: those of the layers that can depend on N; none: all children of the network that compute.
    """

    def changed(path: str, original: nn.Module, twin: nn.Module) -> nn.Module:
        if path and path == layer and plant is not None:
            return plant(original)
        child = path and "." not in path and not isinstance(original, (nn.Flatten, nn.Identity))
        cut = isinstance(original, kinds) if kinds else child
        return InCanonicalShape(twin, size=1, up_to=0) if cut else twin

    return shallow_copy(net, changed).eval().requires_grad_(False)


def _resnet50() -> nn.Module:
    state = {name: torch.from_numpy(np.array(values)) for name, values in state_dict().items()}
    return with_state(skeleton("resnet50", 1000), state)


def _float_network(seed: int) -> nn.Module:
    with _seeded(seed):
        return nn.Sequential(
            OrderedDict[str, nn.Module](
                stem=nn.Conv2d(3, 8, 3, stride=2, padding=1),
                act1=nn.ReLU(),
                pool=nn.MaxPool2d(2),
                conv2=nn.Conv2d(8, 4, 3, padding=1),
                act2=nn.ReLU(),
                flat=nn.Flatten(),
                hidden=nn.Linear(64, 64),
                act3=nn.ReLU(),
                fc=nn.Linear(64, NUM_CLASSES),
                scores=nn.Sigmoid(),
            )
        )


def _int8_network(seed: int) -> nn.Module:
    """Two convolutions and a linear layer, quantized for the current engine."""
    with _seeded(seed), known_deprecations(), torch.no_grad():
        net: nn.Module = nn.Sequential(
            OrderedDict[str, nn.Module](
                quant=QuantStub(),
                stem=nn.Conv2d(3, 16, 3, padding=1),
                act1=nn.ReLU(),
                conv2=nn.Conv2d(16, 64, 3, padding=1),
                act2=nn.ReLU(),
                pool=nn.MaxPool2d(4),
                flat=nn.Flatten(),
                fc=nn.Linear(1024, NUM_CLASSES),
                dequant=DeQuantStub(),
            )
        ).eval()
        net.get_parameter("conv2.bias").add_(_LIFT)
        net = fuse_modules(net, _FUSED)  # type: ignore[no-untyped-call]
        net = prepared(net, MinMaxObserver)
        with torch.inference_mode():
            net(torch.from_numpy(pixels(_CALIBRATION, seed)))
        converted: nn.Module = convert(net)  # type: ignore[no-untyped-call]
    return converted


def _random_network(seed: int) -> nn.Module:
    """Two convolutions and two linear layers of random sizes, with random activations and pooling between."""
    draws = np.random.Generator(np.random.PCG64(seed))
    first, second, hidden = (int(n) for n in draws.integers(3, 17, 3))
    kernels = [int(k) for k in draws.choice([1, 3, 5], 2)]
    acts = [_ACTIVATIONS[int(i)] for i in draws.integers(0, len(_ACTIVATIONS), 3)]
    pool = [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(4)][int(draws.integers(3))]
    with _seeded(seed):
        return nn.Sequential(
            OrderedDict[str, nn.Module](
                stem=nn.Conv2d(3, first, kernels[0], stride=2, padding=kernels[0] // 2),
                norm=nn.BatchNorm2d(first),
                act1=acts[0](),
                conv2=nn.Conv2d(first, second, kernels[1], padding=kernels[1] // 2),
                act2=acts[1](),
                pool=pool,
                flat=nn.Flatten(),
                hidden=nn.Linear(second * 16, hidden),
                act3=acts[2](),
                fc=nn.Linear(hidden, NUM_CLASSES),
            )
        ).eval()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's random state set to this seed, and put back on leaving."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
