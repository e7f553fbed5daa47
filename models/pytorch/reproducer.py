"""A layer of torch as the one operation it makes, its arguments written down so that a script can make them again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isobatch.models.pytorch.calls import computes
from isobatch.models.pytorch.int8.modules import weight_parts
from isobatch.models.pytorch.tensors import Form, Slot, to_numpy
from isobatch.models.spec.case import Case, Shrink
from isobatch.models.spec.runner import Rows
from isobatch.models.spec.templates import torch_part
from isobatch.models.spec.words import Json

_PLAIN = (bool, int, float, str, type(None))
_READ_A_NUMBER = ("item", "_local_scalar_dense")  # such as a scale kept in a tensor: it becomes a plain argument
_NAMED = (torch.dtype, torch.layout, torch.memory_format)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the operations that compute, with their arguments."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to mark this for torch's compiler would load that, for seconds (see ``Interceptor``)."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note one operation and make it."""
        if computes(func, args) and func.overloadpacket.__name__ not in _READ_A_NUMBER:
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


@dataclass
class _Describing:
    """The arguments of one operation as plain values, and the arrays they refer to."""

    # The layer's rows as tensors, by place in ``Rows``, and where the images are in them.
    images: Mapping[int, tuple[Tensor, Slot]]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)

    def described(self, name: str, value: Any) -> Json:
        """One argument. Raises NotImplementedError for one that cannot be written down."""
        if isinstance(value, (list, tuple)):
            if all(isinstance(part, _PLAIN) for part in value):
                return {"is": "value", "value": list(value)}
            return [self.described(f"{name}{number}", part) for number, part in enumerate(value)]
        if isinstance(value, Tensor):
            return self._rows(value) or self._tensor(name, value)
        if isinstance(value, _PLAIN):
            return {"is": "value", "value": value}
        if isinstance(value, _NAMED):
            return {"is": "torch", "value": str(value).removeprefix("torch.")}
        if isinstance(value, torch.ScriptObject) and hasattr(value, "unpack"):
            return self._packed(value)
        raise NotImplementedError(f"its argument {name} is a {type(value).__name__}")

    def _rows(self, value: Tensor) -> Json | None:
        for place, (tensor, slot) in self.images.items():
            if tensor.data_ptr() == value.data_ptr() and tensor.shape == value.shape:
                array = f"x{place}"
                if array not in self.rows:
                    self.rows.append(array)
                return {
                    "is": "rows",
                    "array": array,
                    "type": "uint8" if slot.pair.scale is not None else _name(slot.pair.dtype),
                    "axis": slot.axis,
                    "per_image": slot.per_image,
                    "alone": _order(slot.alone),
                    "together": _order(slot.pair),
                    "scale": slot.pair.scale,
                    "zero_point": slot.pair.zero_point,
                }
        return None

    def _tensor(self, name: str, value: Tensor) -> Json:
        if value.is_quantized:
            raise NotImplementedError(f"its argument {name} is a quantized tensor that all images share")
        self.arrays[name] = plain(to_numpy(value))
        return {"is": "tensor", "array": name, "type": _name(value.dtype), "order": _order(Form.of(value))}

    def _packed(self, value: Any) -> Json:
        weight, bias = value.unpack()
        self.arrays |= {name: part.numpy() for name, part in weight_parts(weight).items()}
        if bias is not None:
            self.arrays["bias"] = bias.detach().numpy()
        if weight.ndim == 2:
            return {"is": "packed", "prepack": "linear_prepack", "window": []}
        window = [list(part) for part in (value.stride(), value.padding(), value.dilation())]
        return {"is": "packed", "prepack": "conv2d_prepack", "window": [*window, value.groups()]}


def torch_case(call: partial[Any], slots: Iterable[Slot | None], results: Iterable[Slot | None], inputs: Rows) -> Case:
    """The case of a layer's call on these rows. ``slots`` and ``results``: where the images are in what it is given,
    flattened, and in what it gives. Raises NotImplementedError where it makes several operations, or unusual ones.
    """
    with _Recorder() as recorder:
        call()
    if len(recorder.calls) != 1:
        raise NotImplementedError(f"it makes {len(recorder.calls)} operations, and a script shows one")
    ((function, args, kwargs),) = recorder.calls
    describing = _Describing(_rows_as_tensors(slots, tree_leaves((call.args, call.keywords))))
    names = [argument.name for argument in function._schema.arguments]
    arguments = [describing.described(name, value) for name, value in zip(names, args, strict=False)]
    named = {name: describing.described(name, value) for name, value in kwargs.items()}
    if not describing.rows:
        raise NotImplementedError("the rows of its images do not reach its operation as they are")
    arrays = describing.arrays | {name: plain(inputs[int(name[1:])]) for name in describing.rows}
    facts = {
        "operation": str(function),
        "threads": torch.get_num_threads(),
        "engine": torch.backends.quantized.engine if function.namespace == "quantized" else None,
        "environment": torch_part.environment(),
        "arguments": arguments,
        "named": named,
        "results": [{"axis": slot.axis, "per_image": slot.per_image} for slot in results if slot],
    }
    shrinks = tuple(_shrinks(str(function), arrays))
    return Case(
        "torch", facts, arrays, tuple(describing.rows), lambda given: torch_part.prepared(facts, given), shrinks
    )


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """bfloat16 as the same values in float32, which numpy can store; everything else as it is."""
    return array.astype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array


def _shrinks(operation: str, arrays: Mapping[str, NDArray[Any]]) -> Iterable[Shrink]:
    """What can be left out of a convolution without groups or a linear layer, so that it is still one."""
    weight, x = arrays.get("weight"), arrays.get("x0")
    convolution = "conv2d" in operation
    if (
        weight is None
        or x is None
        or not (convolution or "linear" in operation)
        or weight.ndim != (4 if convolution else 2)
    ):
        return
    if convolution and weight.shape[1] != x.shape[1]:
        return
    per_output = [name for name in ("weight", "bias", "scales", "zero_points") if name in arrays and arrays[name].ndim]
    yield Shrink("output channels", tuple((name, 0) for name in per_output))
    yield Shrink("input channels", (("weight", 1), ("x0", 1 if convolution else x.ndim - 1)))
    if convolution:
        yield Shrink("rows of pixels", (("x0", 2),), least=weight.shape[2])
        yield Shrink("columns of pixels", (("x0", 3),), least=weight.shape[3])


def _order(form: Form) -> list[int]:
    """The axes from the outermost to the innermost in memory."""
    return sorted(range(len(form.shape)), key=lambda axis: (-form.stride[axis], axis))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _rows_as_tensors(slots: Iterable[Slot | None], values: Iterable[Any]) -> dict[int, tuple[Tensor, Slot]]:
    """The tensors of a call that hold images, numbered in the order of ``Rows``: each distinct tensor once."""
    tensors: dict[int, tuple[Tensor, Slot]] = {}
    for slot, value in zip(slots, values, strict=True):
        if slot is not None and all(value is not tensor for tensor, _ in tensors.values()):
            tensors[len(tensors)] = (value, slot)
    return tensors
