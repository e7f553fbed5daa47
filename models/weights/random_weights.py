"""Untrained weights that are the same on every machine, with statistics under which activations keep their size."""

import math

import torch
from numpy.random import PCG64
from torch import Tensor, nn

from isobatch.models.weights.digits.weights import uniform
from isobatch.models.weights.model_name import channels_of, read_name, told_name
from isobatch.models.weights.networks import architecture
from isobatch.models.weights.state_dicts import State, WeightsError

SEED = 2015
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_BIAS_BOUND = 0.1
_BATCH = (4, 224, 224)  # images, height, width
_PATCH = 32  # pixels: patches on top of pixel noise, for coarse structure like that of photographs
_NOISE = 0.3  # of the patches' amplitude
_KEPT_BITS = 8
_DRAWN_BITS = 24  # sums of such numbers are exact in float64, whatever the order
_COLOURS = 3


def random_state(model: str, num_classes: int = 1000, net: nn.Module | None = None) -> State:
    """A complete float32 state dict: centred He-uniform weights, small biases, calibrated BatchNorm statistics.

    The weights are exact functions of PCG64's raw integers (variance 2 / fan-in; He et al., 2015), each filter minus
    its mean: behind a ReLU everything is positive, and a filter's mean would let images unlike the calibration batch
    grow from layer to layer. The BatchNorm statistics come from one fixed batch in float64 and keep 8 significant
    bits: another machine sums in another order, about 1e-14 apart, and rounds to the same statistics unless one lies
    that close to a tie. ``net``: what a factory has made of ``model``; the weights become its own.
    Raises ValueError for an unknown model, WeightsError for one that does not take that batch.
    """
    stream = PCG64(SEED)
    net = architecture(model, num_classes) if net is None else net
    net.requires_grad_(False)  # of torchvision's initial values only buffers stay
    for name, parameter in net.named_parameters():
        parameter.copy_(_initial(stream, name, parameter))
    if any(isinstance(module, _NORMS) for module in net.modules()):
        try:
            _calibrate(net.double(), stream, channels_of(model))
        except Exception as error:  # networks check their input with errors of any kind
            said = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"random weights of {told_name(model)} cannot be made: their BatchNorm statistics are those of images "
                f"of {_BATCH[1]} x {_BATCH[2]}, which it does not take ({said}): give weights of its own, --weights "
                "FILE"
                + ", or leave --weights out: a factory gives its network some"
                * (read_name(model).kind == "factory")
            ) from error
    return net.float().state_dict()


def _initial(stream: PCG64, name: str, parameter: Tensor) -> Tensor:
    if parameter.ndim > 1:
        weights = uniform(stream, tuple(parameter.shape), _DRAWN_BITS)
        if parameter.shape[1] > _COLOURS:  # neither depthwise nor the first layer, which must see mean brightness
            weights -= weights.mean(axis=tuple(range(1, weights.ndim)), keepdims=True)
        return torch.from_numpy(weights * math.sqrt(6 / math.prod(parameter.shape[1:])))
    if name.endswith("bias"):
        return torch.from_numpy(uniform(stream, tuple(parameter.shape), _DRAWN_BITS) * _BIAS_BOUND)
    return torch.ones_like(parameter)  # the gain of a normalisation


def _calibrate(net: nn.Module, stream: PCG64, channels: int) -> None:
    """Set the running statistics of every BatchNorm to those of one batch of patches and pixel noise."""
    n, height, width = _BATCH
    patches = uniform(stream, (n, channels, height // _PATCH, width // _PATCH), _DRAWN_BITS)
    noise = uniform(stream, (n, channels, height, width), _DRAWN_BITS)
    images = patches.repeat(_PATCH, axis=2).repeat(_PATCH, axis=3) + _NOISE * noise
    norms = [module for module in net.modules() if isinstance(module, _NORMS)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches, of which there is one
        norm.train()
    with torch.inference_mode():
        net(torch.from_numpy(images))
    for norm in norms:
        for statistic in (norm.running_mean, norm.running_var):
            assert statistic is not None
            statistic.copy_(_rounded(statistic))


def _rounded(values: Tensor) -> Tensor:
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2**_KEPT_BITS), exponent - _KEPT_BITS)
