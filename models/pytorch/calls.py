"""Every call that a torch network makes, of modules and of the operations between them, handed to a handler."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._ops import OpOverload
from torch.ao.nn.quantized import FloatFunctional, QFunctional
from torch.utils._python_dispatch import TorchDispatchMode

_OPERATORS = ("add", "add_scalar", "mul", "mul_scalar", "cat", "add_relu", "matmul")


@dataclass(frozen=True)
class Call:
    """One call of a run."""

    # The module's path, or its path and the operation as in ``layer1.0.add_()``; a second call of it ends in ``#2``.
    name: str
    original: Callable[..., Any]  # what is called, outside of any interception

    @property
    def is_operation(self) -> bool:
        """Whether this is an operation and not a module."""
        return isinstance(self.original, OpOverload)


Handler = Callable[[Call, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""``handler(call, function, args, kwargs)`` makes the call by ``function(*args, **kwargs)`` and returns its result."""


class Arguments(NamedTuple):
    """What a network is called with, where that is not one tensor."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def called(network: Callable[..., Any], given: Any) -> Any:
    """The network's result for one tensor, or for ``Arguments``."""
    return network(*given.args, **given.kwargs) if isinstance(given, Arguments) else network(given)


class Interceptor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A network whose calls go through a handler, outer before inner; weights are shared, the network is unchanged.

    Operations are seen below Python (``TorchDispatchMode``) and modules by their ``forward``: neither hooks, which turn
    off torch's fast path for transformers, nor ``TorchFunctionMode``, which turns off that for attention. Operations
    that only look at data in another way or create tensors (views, dropout in eval mode) pass by unseen.
    """

    def __init__(self, net: nn.Module, handler: Handler) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._handler = handler
        self._path = ""
        self._counts: Counter[str] = Counter()
        self._open = True
        self._twin = shallow_copy(net, self._watch)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The network's result. Call it in the mode (inference or not) that is deployed."""
        self._counts.clear()
        with self:
            return self._twin(*args, **kwargs)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to mark this for torch's compiler would load that, for seconds, at the first call."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Hand one operation to the handler."""
        if not self._open or not computes(func, args):
            return func(*args, **(kwargs or {}))
        name = f"{self._path}.{func.overloadpacket.__name__}()".removeprefix(".")
        return self._handler(Call(self._numbered(name), func), func, args, kwargs or {})

    def _watch(self, path: str, original: nn.Module, twin: nn.Module) -> nn.Module:
        for name in entrances(twin):
            called = original if name == "forward" else getattr(original, name)
            twin.__dict__[name] = partial(self._called, path, called, getattr(twin, name))
        return twin

    def _called(self, path: str, original: Callable[..., Any], function: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._open:
            return function(*args, **kwargs)
        with self._at(path, opened=False):  # the handler's own operations are none of the network's
            return self._handler(
                Call(self._numbered(path), original), partial(self._within, path, function), args, kwargs
            )

    def _within(self, path: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        with self._at(path, opened=True):
            return function(*args, **kwargs)

    @contextmanager
    def _at(self, path: str, opened: bool) -> Iterator[None]:
        before = self._path, self._open
        self._path, self._open = path, opened
        try:
            yield
        finally:
            self._path, self._open = before

    def _numbered(self, name: str) -> str:
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}#{self._counts[name]}"


def entrances(module: nn.Module) -> tuple[str, ...]:
    """The methods by which a module is called: a FloatFunctional's are its operators."""
    return _OPERATORS if isinstance(module, (FloatFunctional, QFunctional)) else ("forward",)


def shallow_copy(
    net: nn.Module, change: Callable[[str, nn.Module, nn.Module], nn.Module] = lambda path, original, copy: copy
) -> nn.Module:
    """The same tree on the same tensors, with ``change(path, original, copy)`` in the place of each module.

    Not by ``copy.copy``, which quantized modules answer with a deep copy.
    """
    paths = {id(module): path for path, module in net.named_modules()}
    made: dict[int, nn.Module] = {}

    def copied(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            twin = object.__new__(type(module))
            twin.__dict__.update(module.__dict__)
            made[id(module)] = change(paths[id(module)], module, twin)
            twin._modules = {name: child and copied(child) for name, child in module._modules.items()}
        return made[id(module)]

    return copied(net)


def computes(operation: OpOverload, args: Sequence[Any]) -> bool:
    """Whether values can change here: not in views and their like, factories, or dropout that is turned off."""
    name = operation.overloadpacket.__name__
    if name == "to":
        return any(isinstance(value, torch.dtype) and value != args[0].dtype for value in args)
    looks = any(result.alias_info and not result.alias_info.is_write for result in operation._schema.returns)
    creates = name.startswith(("new_", "_assert")) or name.endswith("_like")
    idle = "dropout" in name and True not in args[1:]
    return not (looks or creates or idle)
