"""A torch runner whose layers can be watched as they are deployed and run again alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from isobatch.models.pytorch.calls import Arguments, Call, Interceptor, called
from isobatch.models.pytorch.control_flow import Followed, different_calls, different_numbers, follow
from isobatch.models.pytorch.find_layers import OWN, Unit, survey
from isobatch.models.pytorch.reproducer import torch_case
from isobatch.models.pytorch.runner import TorchRunner
from isobatch.models.pytorch.switches import turned
from isobatch.models.pytorch.tensors import shared_rows, to_numpy
from isobatch.models.shared.wrapped import Switched
from isobatch.models.spec.case import Case
from isobatch.models.spec.runner import Layer, Rows


@dataclass(frozen=True)
class _Template:
    """The flattened arguments of a call."""

    spec: TreeSpec
    values: tuple[Any, ...]
    images: dict[int, int]  # by position, which of its rows stands there


class InspectableTorchRunner(TorchRunner):
    """Finds the layers of its network by itself, once per image size."""

    _units: dict[str, Unit] | None = None  # the layers
    _around: Mapping[str, Unit] = {}  # modules around them, and the network
    _looked_at: Any = None  # the shape of one image, and the type, in which several inputs have theirs
    _followed: tuple[tuple[str | bytes, ...], Followed] | None = None

    switches_of = "torch"

    def with_switches(self, options: Mapping[str, Any]) -> Switched:
        """This very network, with torch's switches turned for each call."""
        return Switched(self, options, partial(turned, dict(options)))

    def layers(self, images: NDArray[np.float32]) -> dict[str, Unit]:
        """The layers by name in execution order, for images of this shape."""
        if self._units is None or self._looked_at != (images.shape[1:], images.dtype):
            single, pair = (self._input(np.repeat(images[:1], count, axis=0)) for count in (1, 2))
            layers_seen = survey(self.net, single, pair)
            self._units, self._around = layers_seen.layers, layers_seen.around
            self._looked_at = images.shape[1:], images.dtype
            self._templates: dict[str, _Template] = {}
        return self._units

    def known_layers(self) -> dict[str, Unit]:
        """The layers that the last ``watch`` found. Raises RuntimeError before the first."""
        if self._units is None:
            raise RuntimeError("this runner's layers are not known yet: watch one image first")
        return self._units

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        """Logits of a run of which ``see(layer, inputs, outputs)`` gets every layer's copies, in execution order.

        Quantized rows are their integers. ``see`` may replay, also the layer that it is told of.
        """
        return self._watch(self.layers(images), images, see)

    def watch_around(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        """As ``watch``, of the modules that are divided into layers and of the network's own forward, inner first."""
        self.layers(images)
        return self._watch(self._around, images, see)

    def _watch(
        self, units: Mapping[str, Unit], images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]
    ) -> NDArray[Any]:
        def show(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            unit = units.get(call.name or OWN)
            if unit is None or not unit.fits(tree_leaves((args, kwargs))):
                return function(*args, **kwargs)  # another call of that name: control flow is not what it was
            inputs = self._given(unit, args, kwargs)
            result = function(*args, **kwargs)
            see(unit.layer, inputs, gave(unit, result, len(inputs[0])))
            return result

        self._followed = None
        with torch.inference_mode():
            return self._rows(called(Interceptor(self.net, show), self._input(images)))

    def reaches(self, layer: str, images: NDArray[np.float32]) -> bool:
        """Whether the network's result follows from what this layer gives: True for one whose images have rows.

        Else the layer is made to give what it gives for one image alone, and the result looked at.
        """
        unit = self.known_layers().get(layer)
        if unit is None or any(unit.results):
            return True
        plain, kept = self._given_instead(layer, images, None)
        for image in (images[:1], images[-1:]):
            _, other = self._given_instead(layer, image, None)
            if [to_numpy(part).tobytes() for part in other] == [to_numpy(part).tobytes() for part in kept]:
                continue
            if self._given_instead(layer, images, other)[0].tobytes() != plain.tobytes():
                return True
        return False

    def _given_instead(
        self, layer: str, images: NDArray[np.float32], instead: list[Tensor] | None
    ) -> tuple[NDArray[Any], list[Tensor]]:
        """The result of a run, and the tensors that this layer gave in it, or that were put in the place of these."""
        given: list[Tensor] = []

        def change(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            result = function(*args, **kwargs)
            if call.name != layer:
                return result
            leaves, spec = tree_flatten(result)
            left = iter(instead or [leaf for leaf in leaves if isinstance(leaf, Tensor)])
            leaves = [next(left).clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            given.extend(leaf for leaf in leaves if isinstance(leaf, Tensor))
            return tree_unflatten(leaves, spec)

        with torch.inference_mode():
            return self._rows(called(Interceptor(self.net, change), self._input(images))), given

    def other_calls(self, layer: str, inputs: Rows) -> str:
        """How the calls inside of this layer for all of these rows differ from those for the first alone, in words.

        Empty where they do not, and for a layer that is one operation.
        """
        unit, args, kwargs = self._arguments(layer, inputs)
        if not isinstance(unit.original, nn.Module):
            return ""
        images = len(inputs[0])
        with torch.inference_mode():
            alone, many = self._alone(layer, inputs), follow(unit.original, Arguments(args, kwargs))
            if said := different_calls(alone, many, images):
                return said
            if not different_numbers([alone], [many], images):
                return ""
            others = tuple(_other_values(part) for part in inputs)  # does an image decide those numbers?
            other = follow(unit.original, Arguments(*self._arguments(layer, others)[1:]))
            return different_numbers([alone, self._alone(layer, others)], [many, other], images)

    def _alone(self, layer: str, inputs: Rows) -> Followed:
        """What this layer calls for the first of these rows. The last answer is kept: one N is asked after another."""
        first = tuple(part[:1] for part in inputs)
        key: tuple[str | bytes, ...] = (layer, *(part.tobytes() for part in first))
        if self._followed is None or self._followed[0] != key:
            unit, args, kwargs = self._arguments(layer, first)
            assert isinstance(unit.original, nn.Module)
            self._followed = key, follow(unit.original, Arguments(args, kwargs))
        return self._followed[1]

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """What this layer makes of these rows: any number of images, as ``watch`` showed them. Inputs are not changed.

        Raises NotImplementedError for a layer that has not been watched.
        """
        unit, args, kwargs = self._arguments(layer, inputs)
        with torch.inference_mode():
            return gave(unit, unit.original(*args, **kwargs), len(inputs[0]))

    def case(self, layer: str, inputs: Rows) -> Case:
        """This layer on these rows as a reproducer script needs it. Raises NotImplementedError, also as ``replay``."""
        unit, args, kwargs = self._arguments(layer, inputs)
        if unit.crosses or layer in self._around:
            raise NotImplementedError("it reads across images or calls other layers, and a script shows one operation")
        with torch.inference_mode():
            return torch_case(partial(unit.original, *args, **kwargs), unit.slots, unit.results, inputs)

    def _arguments(self, layer: str, inputs: Rows) -> tuple[Unit, tuple[Any, ...], dict[str, Any]]:
        """The layer and its arguments, with these rows in the place of those that were watched."""
        if self._units is None or layer not in self._templates:
            raise NotImplementedError(f"{layer!r} was not watched yet, or its images cannot be told apart")
        unit, template = self._units.get(layer) or self._around[layer], self._templates[layer]
        values = list(template.values)
        made: dict[int, Tensor] = {}
        for position, row in template.images.items():
            slot = unit.slots[position]
            assert slot is not None
            if row not in made:
                made[row] = slot.tensor(inputs[row])
            values[position] = made[row]
        args, kwargs = tree_unflatten(values, template.spec)
        return unit, args, kwargs

    def _given(self, unit: Unit, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Rows:
        """Copies of the rows given, one for each distinct tensor: attention asks whether query is key is value."""
        values, spec = tree_flatten((args, kwargs))
        rows: dict[int, NDArray[Any]] = {}
        images: dict[int, int] = {}
        for position, (slot, value) in enumerate(zip(unit.slots, values, strict=True)):
            if slot is not None:
                rows.setdefault(id(value), slot.rows(value))
                images[position] = list(rows).index(id(value))
                values[position] = None
        self._templates[unit.layer.name] = _Template(spec, tuple(values), images)
        return tuple(rows.values())


def _other_values(part: NDArray[Any]) -> NDArray[Any]:
    """Rows of other values: the last first, and halved; whole numbers may be rows of a table, and stay as they are."""
    turned = part[::-1]
    return np.ascontiguousarray(turned * part.dtype.type(0.5) if part.dtype.kind == "f" else turned)


def gave(unit: Unit, result: Any, images: int) -> Rows:
    """The rows of a call's tensors, [images, ...] each."""
    tensors = (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
    pairs = zip(unit.results, tensors, strict=True)
    return tuple(slot.rows(tensor) if slot else shared_rows(tensor, images) for slot, tensor in pairs)
