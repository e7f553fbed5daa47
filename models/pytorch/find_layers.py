"""Which layers a torch network has: the calls whose rows are images, found by running one image and two."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

from isobatch.models.pytorch.calls import Arguments, Call, Interceptor, called
from isobatch.models.pytorch.tensors import Form, Slot
from isobatch.models.spec.runner import Layer

_KINDS = {
    "_native_multi_head_attention": "attention",
    "scaled_dot_product_attention": "attention",
    "_transformer_encoder_layer_fwd": "transformer-layer",
    "adaptive_avg_pool2d": "average-pool",
    "avg_pool2d": "average-pool",
    "max_pool2d": "max-pool",
    "quantize_per_tensor": "quantize",
    "linear_dynamic": "dynamic-linear",
    "cat": "concat",
}
_SCALES = r"(, )?(scale|zero_point)=[^,]*"  # layers that differ in these run the same kernel


@dataclass(frozen=True)
class Unit:
    """A call that is watched, replayed and rewritten as one layer."""

    layer: Layer
    original: Callable[..., Any]
    slots: tuple[Slot | None, ...]  # by position in the flattened arguments, None for whatever all images share
    # By tensor that it gives; None for one in which no image has a row of its own: the call has read across them.
    results: tuple[Slot | None, ...]
    # By position: whole numbers, switches and words among the arguments. Fractions may follow from the images.
    settings: tuple[int | str | None, ...]

    @property
    def crosses(self) -> bool:
        """Whether it gives something that belongs to no image."""
        return None in self.results

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether these flattened arguments are those of this call for some number of images, and not of another."""
        if len(values) != len(self.slots):
            return False
        images = set()
        for slot, setting, value in zip(self.slots, self.settings, values, strict=True):
            if slot is None and setting != _setting(value):
                return False
            if slot is not None:
                if not isinstance(value, Tensor) or not slot.fits(value):
                    return False
                images.add(value.shape[slot.axis] // slot.per_image)
        return len(images) == 1


OWN = "forward()"
"""The name of the network's own forward, as a layer around all others."""


@dataclass(frozen=True)
class Surveyed:
    """The layers of a network, and what stands around them."""

    layers: dict[str, Unit]  # by name, in execution order
    around: dict[str, Unit]  # modules that are divided into layers, and the network


class _Formless:
    """Stands for a tensor without memory that could be made again: nested, sparse, or inside of ``vmap``."""


@dataclass
class _Seen:
    """One call of one run."""

    call: Call
    inner: list[str] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)  # its flattened arguments: of tensors the form, others as given
    gave: list[Any] = field(default_factory=list)


def survey(net: nn.Module, single: Tensor | Arguments, two: Tensor | Arguments) -> Surveyed:
    """What the network consists of. ``single`` and ``two``: network inputs of one image and of two.

    A module is one layer if it makes one computation. Where it makes several, each is a layer, and so is every
    computation between modules. But a module that calls no other and inside of which images are not kept apart by one
    axis, or which makes other calls for two images than for one, is one layer as a whole; of a module that calls
    others, a computation that reads across images is a layer. What is left then cannot be divided by images.
    """
    first, second = _run(net, single), _run(net, two)
    units, _ = _divided("", first, second)
    layers = {unit.layer.name: unit for unit in units}
    around = {}
    for name, seen in second.items():
        if seen.call.is_operation or name in layers or name not in first:
            continue
        unit = _unit(name, first[name], seen, seen.call.original)
        if unit is not None and any(unit.results):
            around[unit.layer.name] = unit
    return Surveyed(layers, around)


def _run(net: nn.Module, batch: Tensor | Arguments) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    within: list[_Seen] = []

    def note(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if within:
            within[-1].inner.append(call.name)
        mine = seen[call.name] = _Seen(call, given=_forms((args, kwargs)))
        within.append(mine)
        result = function(*args, **kwargs)
        within.pop()
        mine.gave = [form for form in _forms(result) if _of_tensor(form)]
        return result

    with torch.inference_mode():
        called(Interceptor(net, note), batch)
    return seen


def _forms(values: Any) -> list[Any]:
    return [_form(leaf) if isinstance(leaf, Tensor) else leaf for leaf in tree_leaves(values)]


def _form(tensor: Tensor) -> Form | _Formless:
    try:
        return Form.of(tensor)
    except RuntimeError:
        return _Formless()


def _of_tensor(value: Any) -> bool:
    return isinstance(value, (Form, _Formless))


def _divided(name: str, first: dict[str, _Seen], second: dict[str, _Seen]) -> tuple[list[Unit], bool]:
    """The layers within this call, and whether all of it is in them."""
    if name not in first or name not in second:
        return [], False
    mine = second[name]
    parts = [_divided(inner, first, second) for inner in dict.fromkeys([*first[name].inner, *mine.inner])]
    units = [unit for part_units, _ in parts for unit in part_units]
    whole = all(complete for _, complete in parts)
    own = sum(second[unit.layer.name].call.is_operation for unit in units)
    if not mine.call.is_operation:
        alone = all(second[inner].call.is_operation for inner in mine.inner)  # it calls no other module
        apart = whole and not (alone and any(unit.crosses for unit in units))
        if not name or (apart and (len(units), own) != (1, 1)):
            return units, whole
    unit = _unit(name, first[name], mine, units[0].original if own == len(units) == 1 else mine.call.original)
    if unit is None or (not mine.call.is_operation and not any(unit.results)):
        slots = _slots(first[name].given, mine.given)
        by_images = any(map(_of_tensor, mine.given)) and (slots is None or any(slots))
        return units, whole and not (mine.call.is_operation and by_images)
    return [unit], True


def _unit(name: str, first: _Seen, second: _Seen, telling: Any) -> Unit | None:
    """This call as a layer; None where its images cannot be told apart. ``telling``: what its kind is named for."""
    slots, results = _slots(first.given, second.given), _slots(first.gave, second.gave)
    if slots is None or results is None or not any(slots) or not results:
        return None
    layer = Layer(name or OWN, _kind(telling), _signature(first))
    return Unit(layer, second.call.original, slots, results, tuple(map(_setting, second.given)))


def _setting(value: Any) -> int | str | None:
    return value if isinstance(value, (int, str)) else None


def _slots(single: list[Any], two: list[Any]) -> tuple[Slot | None, ...] | None:
    """One for each value, or None where they differ in another way than by a number of images."""
    if len(single) != len(two):
        return None
    slots = []
    for first, second in zip(single, two, strict=True):
        if isinstance(first, _Formless) or isinstance(second, _Formless):
            return None
        if isinstance(first, Form) and isinstance(second, Form):
            try:
                slots.append(Slot.between(first, second))
            except ValueError:
                return None
        elif isinstance(second, (bool, int, float, str)) and first != second:
            return None
        else:
            slots.append(None)
    return tuple(slots)


def _kind(original: Any) -> str:
    """The operation, or the class of a module that makes several, in the words of ``Layer.kind``."""
    if isinstance(original, nn.Module):
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(original).__name__).lower()
    called = original.overloadpacket if isinstance(original, OpOverload) else original
    name: str = called.__name__.removesuffix("_").removesuffix("_relu")
    return _KINDS.get(name, name.replace("_", "-"))


def _signature(seen: _Seen) -> str:
    """The call, its settings and the types and layouts of its tensors; for a quantized one without its scales."""
    original = seen.call.original
    module = getattr(original, "__self__", original)  # a FloatFunctional's method is called, not the module
    parts = [str(original) if isinstance(original, OpOverload) else type(module).__name__]
    if isinstance(module, nn.Module):
        parts.append(re.sub(_SCALES, "", module.extra_repr()))
        parts += [f"{tuple(parameter.shape)}" for parameter in module.parameters()]
    for value in seen.given:
        if isinstance(value, Form):
            shift = "" if value.scale is None else f" zero point {'not ' * bool(value.zero_point)}0"
            parts.append(f"{value.dtype}{list(value.shape)} by {list(value.stride)}{shift}")
        elif isinstance(value, (int, float, str)):
            parts.append(str(value))
    return "; ".join(part for part in parts if part)
