"""A copy of a user's module that can be run without leaving a trace in the original."""

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from isobatch.models.pytorch.calls import shallow_copy


def private_copy(module: nn.Module) -> nn.Module:
    """The same network on the same parameters, with buffers, hooks, mode and attributes of its own.

    What it remembers, counts or switches while it runs stays in the copy.
    """
    memo: dict[int, Any] = {id(parameter): parameter for parameter in module.parameters()}
    try:
        return copy.deepcopy(module, memo)
    except Exception:  # something in it cannot be copied (a lock, a generator): it is shared, tensors are not
        return shallow_copy(module, lambda path, original, twin: _own(twin))


def _own(twin: nn.Module) -> nn.Module:
    state = twin.__dict__
    for name, value in state.items():
        if isinstance(value, (dict, list, set)):
            state[name] = copy.copy(value)
        elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            state[name] = value.clone()
    state["_buffers"] = {name: buffer if buffer is None else buffer.clone() for name, buffer in twin._buffers.items()}
    return twin


def as_module(network: Any) -> Any:
    """The module of what ``torch.export.export`` gives; anything else as it is."""
    return network.module() if type(network).__name__ == "ExportedProgram" else network


def in_training(network: Any) -> tuple[str, ...]:
    """The submodules in training mode by their paths, the innermost only; empty for what is no torch module."""
    if not isinstance(network, nn.Module) or _frozen(network):
        return ()
    training = [(path, module) for path, module in network.named_modules() if _trains(module)]
    inner = [path for path, module in training if not any(map(_trains, module.children()))]
    return tuple(path or type(network).__name__ for path in inner)


def _trains(module: nn.Module) -> bool:
    return getattr(module, "training", False) and not _frozen(module)  # what torch.jit.freeze makes has no mode


def _frozen(module: nn.Module) -> bool:
    """Whether both modes compute the same, as of what torch quantizes, which is made in training mode, or exports."""
    if "_in_spec" in vars(module):  # of an exported program, whose eval() raises
        return True
    return type(module).__module__.startswith(("torch.ao.nn.quantized.", "torch.ao.nn.intrinsic.quantized."))


def told_in_training(name: str, network: nn.Module) -> str:
    """What is said of a factory's network in training mode, and of how it is measured; "" of one in eval mode."""
    if not (training := in_training(network)):
        return ""
    how = "it is measured in eval mode" if network.training else "they are measured so"
    more = f" and {len(training) - 3} more" if len(training) > 3 else ""
    return (
        f"{name} leaves its network in training mode ({', '.join(training[:3])}{more}): {how}; call .eval() in the "
        "factory"
    )


def faking(network: Any) -> tuple[str, ...]:
    """The submodules that imitate quantization (``FakeQuantize``, as training for it puts in), by their paths."""
    return tuple(path for path, module in _modules(network) if hasattr(module, "fake_quant_enabled"))


def told_observing(network: Any) -> str:
    """What is said of fake quantization whose scales move with every call, in eval mode too; "" where none does."""
    if observing := [path for path, module in _modules(network) if _observes(module)]:
        more = f" and {len(observing) - 1} more" if len(observing) > 1 else ""
        return (
            f"its fake quantization ('{observing[0]}'{more}) still observes what passes, and moves its scales with "
            "every call: network.apply(torch.ao.quantization.disable_observer) in the factory, or convert it"
        )
    return ""


def _modules(network: Any) -> list[tuple[str, nn.Module]]:
    return list(network.named_modules()) if isinstance(network, nn.Module) and not _frozen(network) else []


def _observes(module: nn.Module) -> bool:
    switch = getattr(module, "observer_enabled", None)
    return hasattr(module, "fake_quant_enabled") and isinstance(switch, Tensor) and bool(switch.any())


def as_measured(network: nn.Module) -> nn.Module:
    """A factory's network in eval mode if it is in training mode as a whole; a part that is stays as it is."""
    return network.eval() if _trains(network) else network


def check_parameters(module: nn.Module) -> None:
    """Raise TypeError for parameters that the network has not made yet, or that hold no values."""
    if lazy := [name for name, parameter in module.named_parameters() if is_lazy(parameter)]:
        raise TypeError(not_made_yet(lazy))
    if bare := [name for name, parameter in module.named_parameters() if parameter.is_meta]:
        raise TypeError(
            f"parameters on the meta device, which hold no values ({', '.join(bare[:3])}): make the network outside "
            "torch.device('meta'), or load its weights with load_state_dict(..., assign=True)"
        )


def not_made_yet(names: list[str]) -> str:
    """What is said of these parameters."""
    return (
        f"parameters that are made by the network's first call ({', '.join(names[:3])}): a network whose parameters "
        "are there is expected; call it once on an example (and load its weights), then give it"
    )
