"""A torch runner whose layers can be watched as they are deployed and run again alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from isobatch.models.pytorch.calls import Call, Interceptor
from isobatch.models.pytorch.find_layers import Unit, survey
from isobatch.models.pytorch.reproducer import Made, rows_as_tensors, torch_case
from isobatch.models.pytorch.runner import TorchRunner, to_numpy
from isobatch.models.spec.case import Case
from isobatch.models.spec.runner import Layer, Rows


@dataclass(frozen=True)
class _Template:
    """The flattened arguments of a call. ``images``: by position, which of its rows stands there."""

    spec: TreeSpec
    values: tuple[Any, ...]
    images: dict[int, int]


class InspectableTorchRunner(TorchRunner):
    """Finds the layers of its network by itself, once per image size."""

    _units: dict[str, Unit] | None = None
    _image_shape: tuple[int, ...] = ()

    def layers(self, images: NDArray[np.float32]) -> dict[str, Unit]:
        """The layers by name in execution order, for images of this shape."""
        if self._units is None or self._image_shape != images.shape[1:]:
            single, pair = (self._input(np.repeat(images[:1], count, axis=0)) for count in (1, 2))
            self._units, self._image_shape = survey(self.net, single, pair), images.shape[1:]
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
        units = self.layers(images)

        def show(call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            unit = units.get(call.name)
            if unit is None:
                return function(*args, **kwargs)
            inputs = self._given(unit, args, kwargs)
            result = function(*args, **kwargs)
            see(unit.layer, inputs, gave(unit, result))
            return result

        with torch.inference_mode():
            return to_numpy(Interceptor(self.net, show)(self._input(images)))

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """What this layer makes of these rows: any number of images, as ``watch`` showed them. Inputs are not changed.

        Raises NotImplementedError for a layer that has not been watched.
        """
        unit, args, kwargs = self._arguments(layer, inputs)
        with torch.inference_mode():
            return gave(unit, unit.original(*args, **kwargs))

    def case(self, layer: str, inputs: Rows) -> Case:
        """This layer on these rows as a reproducer script needs it. Raises NotImplementedError, also as ``replay``."""
        unit, args, kwargs = self._arguments(layer, inputs)
        rows = rows_as_tensors(unit.slots, tree_leaves((args, kwargs)))
        with torch.inference_mode():
            return torch_case(Made(unit.original, args, kwargs, rows, unit.results), inputs, torch.get_num_threads())

    def _arguments(self, layer: str, inputs: Rows) -> tuple[Unit, tuple[Any, ...], dict[str, Any]]:
        """The layer and its arguments, with these rows in the place of those that were watched."""
        if self._units is None or layer not in self._templates:
            raise NotImplementedError(f"{layer!r} was not watched yet, or its images cannot be told apart")
        unit, template = self._units[layer], self._templates[layer]
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


def gave(unit: Unit, result: Any) -> Rows:
    """The rows of a call's tensors."""
    tensors = (leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
    return tuple(slot.rows(tensor) for slot, tensor in zip(unit.results, tensors, strict=True))
