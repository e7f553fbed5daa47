"""A factory's network whose own code casts to the types of its parts: no float32 copy of it runs."""

import os

import torch
from torch import nn

from isobatch.models.spec.words import Network
from isobatch.models.user_copy import as_measured
from isobatch.models.user_factory import made, uncompiled
from isobatch.models.weights.model_name import read_name
from isobatch.models.weights.networks import read_torch_weights, with_state


def in_own_types(network: Network) -> nn.Module | None:
    """The network in the types that the factory gives its parts, with the weights under study; None where all parts are
    float32. Raises FactoryError.
    """
    net = as_measured(uncompiled(made(read_name(network.model).architecture, os.getcwd())))
    if types_of(net) <= {torch.float32}:
        return None
    held = net.state_dict()
    return with_state(net, {key: values.to(held[key].dtype) for key, values in read_torch_weights(network).items()})


def types_of(net: nn.Module) -> set[torch.dtype]:
    """The floating-point types of its parameters and buffers."""
    return {tensor.dtype for tensor in (*net.parameters(), *net.buffers()) if tensor.is_floating_point()}


def in_words(net: nn.Module) -> str:
    """``float16 and float32``."""
    return " and ".join(sorted(str(kind).removeprefix("torch.") for kind in types_of(net)))
