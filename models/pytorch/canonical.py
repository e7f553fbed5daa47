"""A torch network in which chosen layers are run in one shape, so that their rows cannot depend on N."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_flatten, tree_unflatten

from isobatch.models.pytorch.calls import Call, Interceptor, entrances, shallow_copy
from isobatch.models.pytorch.find_layers import OWN, Unit
from isobatch.models.pytorch.layers import InspectableTorchRunner
from isobatch.models.spec.runner import WHOLE, Canonical
from isobatch.models.spec.words import VariantUnavailable


class RewritableTorchRunner(InspectableTorchRunner):
    """Modules are replaced by ones that cut their rows; operations between modules are intercepted as they run."""

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Self:
        """A live runner of the same weights in which these layers follow their rules; close this one last.

        Raises RuntimeError before the first ``watch``, which finds the layers, KeyError for a layer that it did not
        find, and VariantUnavailable for one whose batch axis is not the first, or that one module makes in several
        calls with different rules.
        """
        if whole := rules.get(WHOLE) or rules.get(OWN):
            return self.twin(InCanonicalShape(self.net, whole.size, whole.up_to, whole.least))
        units = {**self.known_layers(), **self._around}
        inside = [
            name for name in rules if any(name.startswith(f"{around}.") for around in rules.keys() & self._around)
        ]
        chosen = [(units[name], rule) for name, rule in rules.items() if name not in inside]
        return self.twin(canonical_network(self.net, chosen))

    def twin(self, net: nn.Module) -> Self:
        """A live runner of another network with the settings of this one, inside this one's with block."""
        twin = copy.copy(self)
        twin._net, twin._load, twin._stack = net, lambda: net, ExitStack()
        twin._units = None
        return twin


def canonical_network(net: nn.Module, rules: Iterable[tuple[Unit, Canonical]]) -> nn.Module:
    """``net`` with these layers in their canonical shapes, on the same tensors. Raises VariantUnavailable as above.

    TorchScript can compile it unless a rule names an operation between modules, or a call of several tensors.
    """
    modules: dict[str, _Cut] = {}
    operations: dict[str, _Cut] = {}
    for unit, rule in rules:
        cut = _Cut.of(unit, rule)
        name = unit.layer.name
        if isinstance(unit.original, OpOverload):
            operations[name] = cut
        elif modules.setdefault(name.partition("#")[0], cut) != cut:
            raise VariantUnavailable(
                f"the module of {name} is called several times with different rules", "give all its calls one rule"
            )
    rewritten = shallow_copy(net, partial(_rewritten, modules))
    return _Intercepted(rewritten, operations) if operations else rewritten


class InCanonicalShape(nn.Module):
    """Runs ``inner``, from one tensor to one, in calls of exactly ``size`` rows, the last one padded.

    ``least`` to ``up_to`` rows, and a last part of as many, are run as they come.
    """

    def __init__(self, inner: nn.Module, size: int, up_to: int, least: int = 1) -> None:
        super().__init__()
        self.inner = inner
        self.training = inner.training
        self.size = size
        self.up_to = up_to
        self.least = least

    def __getattr__(self, name: str) -> Any:
        """What the network asks of the module that stands behind this one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x: Tensor) -> Tensor:
        """What ``inner`` makes of these rows."""
        rows = x.shape[0]
        if self.least <= rows <= self.up_to or rows == self.size:
            return self.inner(x)  # type: ignore[no-any-return]
        done = self.inner(part(x, 0, self.size, self.up_to, self.least))
        whole = room(done, rows)
        put(whole, 0, done)
        for start in range(self.size, rows, self.size):
            put(whole, start, self.inner(part(x, start, self.size, self.up_to, self.least)))
        return whole


@dataclass(frozen=True)
class _Cut:
    """A rule in images, and how many rows an image has in each tensor of the call."""

    rule: Canonical
    given: tuple[int | None, ...]
    gave: tuple[int, ...]

    @classmethod
    def of(cls, unit: Unit, rule: Canonical) -> _Cut:
        if unit.crosses:
            raise VariantUnavailable(
                f"{unit.layer.name} reads across the images of a batch: in parts it is another network",
                "serve images one at a time, or mend the network",
            )
        for slot in (*unit.slots, *unit.results):
            if slot is not None and slot.axis != 0:
                raise VariantUnavailable(
                    f"the batch axis of {unit.layer.name} is number {slot.axis}, and only the first can be cut",
                    "choose a repair of the whole network",
                )
        given = tuple(slot.per_image if slot else None for slot in unit.slots)
        return cls(rule, given, tuple(slot.per_image for slot in unit.results if slot))

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As ``InCanonicalShape``, for any number of tensors. One that is given twice stays one."""
        values, spec = tree_flatten((args, kwargs))
        if len(values) != len(self.given):  # called otherwise than it was found: verification tells what comes of it
            return function(*args, **kwargs)
        size, up_to, least = self.rule.size, self.rule.up_to, self.rule.least
        images = next(value.shape[0] // rows for value, rows in zip(values, self.given, strict=True) if rows)
        if least <= images <= up_to or images == size:
            return function(*args, **kwargs)
        whole: list[Tensor] = []
        for start in range(0, images, size):
            parts: dict[int, Tensor] = {}
            for value, rows in zip(values, self.given, strict=True):
                if rows and id(value) not in parts:
                    parts[id(value)] = part(value, start * rows, size * rows, up_to * rows, least * rows)
            given, named = tree_unflatten([parts.get(id(value), value) for value in values], spec)
            results, shape = tree_flatten(function(*given, **named))
            done = [result for result in results if isinstance(result, Tensor)]
            whole = whole or [room(result, images * rows) for result, rows in zip(done, self.gave, strict=True)]
            for result, rows, all_rows in zip(done, self.gave, whole, strict=True):
                put(all_rows, start * rows, result)
        left = iter(whole)
        return tree_unflatten([next(left) if isinstance(result, Tensor) else result for result in results], shape)


class _Intercepted(nn.Module):
    """A network in which some operations are cut; in-place ones leave their result where they found their input."""

    def __init__(self, net: nn.Module, operations: Mapping[str, _Cut]) -> None:
        super().__init__()
        self.net = net
        self.training = net.training
        self._operations = operations
        self._run = Interceptor(net, self._handle)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network's result."""
        return self._run(*args, **kwargs)

    def _handle(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        cut = self._operations.get(call.name)
        if cut is None:
            return function(*args, **kwargs)
        result = cut(function, *args, **kwargs)
        return args[0].copy_(result) if function._schema.is_mutable else result  # type: ignore[attr-defined]


def _rewritten(cuts: Mapping[str, _Cut], path: str, original: nn.Module, twin: nn.Module) -> nn.Module:
    cut = cuts.get(path)
    if cut is None:
        return twin
    names = entrances(twin)
    if names == ("forward",) and len(cut.given) == len(cut.gave) == 1 and cut.given == cut.gave:
        (rows,) = cut.gave
        rule = cut.rule
        return InCanonicalShape(twin, rule.size * rows, rule.up_to * rows, rule.least * rows)
    for name in names:
        twin.__dict__[name] = partial(cut, getattr(twin, name))
    return twin


def part(x: Tensor, start: int, size: int, up_to: int, least: int = 1) -> Tensor:
    """``size`` rows of ``x`` from ``start`` on; after its end, copies of its last row unless ``up_to`` are enough.

    ``least`` rows are given in any case. At an address aligned as that of ``x``: kernels may go other ways elsewhere.
    """
    count = min(size, x.shape[0] - start)
    rows = x.narrow(0, start, count)
    wanted = max(count, least) if count <= up_to else size
    if wanted == count and start * x.stride(0) * x.element_size() % 64 == 0:
        return rows
    padded = room(x, wanted)
    put(padded, 0, rows)
    for row in range(count, wanted):
        put(padded, row, rows.narrow(0, count - 1, 1))
    return padded


def room(like: Tensor, rows: int) -> Tensor:
    """Memory for so many rows like these: of their type, scale and strides, one row after the other."""
    size = list(like.shape)
    size[0] = rows
    if like.is_quantized:
        channels_last = like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last)
        return torch._empty_affine_quantized(
            size,
            scale=like.q_scale(),
            zero_point=like.q_zero_point(),
            dtype=like.dtype,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        )
    stride = list(like.stride())
    span = 1
    for axis in range(1, like.dim()):
        span += (size[axis] - 1) * stride[axis]
    stride[0] = span
    return torch.empty_strided(size, stride, dtype=like.dtype, device=like.device)


def put(whole: Tensor, start: int, rows: Tensor) -> None:
    """Copy rows to their place; those after the end are padding."""
    count = min(rows.shape[0], whole.shape[0] - start)
    whole.narrow(0, start, count).copy_(rows.narrow(0, 0, count))
