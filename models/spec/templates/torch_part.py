"""The torch part of a reproducer: one operation with its arguments in their layouts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isobatch.models.spec.templates.common import Arrays, Run, load, machine

# -- from here on: part of every script --


def environment() -> dict[str, str]:
    """What decides bits here."""
    return {"torch": torch.__version__, "torch uses": torch.backends.cpu.get_cpu_capability(), **machine()}


def laid_out(values: Any, order: list[int], scale: float | None = None, zero_point: int = 0) -> Any:
    """The values in fresh memory, its axes from outermost to innermost; quantized where there is a scale."""
    memory = torch.empty([values.shape[axis] for axis in order], dtype=values.dtype)
    memory.copy_(values.permute(order))
    if scale is not None:
        memory = torch._make_per_tensor_quantized_tensor(memory, scale, zero_point)
    return memory.permute([order.index(axis) for axis in range(len(order))])


def packed(about: dict[str, Any], arrays: Arrays) -> Any:
    """Quantized weights as this engine packs them."""
    codes, scales = torch.from_numpy(arrays["weight"]), torch.from_numpy(arrays["scales"])
    zeros = torch.from_numpy(arrays["zero_points"])
    if scales.ndim:
        weight = torch._make_per_channel_quantized_tensor(codes, scales, zeros, 0)
    else:
        weight = torch._make_per_tensor_quantized_tensor(codes, float(scales), int(zeros))
    bias = torch.from_numpy(arrays["bias"]) if "bias" in arrays else None
    return getattr(torch.ops.quantized, about["prepack"])(weight, bias, *about["window"])


def rows(about: dict[str, Any], arrays: Arrays) -> Any:
    """The images as the operation gets them, in the memory layout of one image or of several."""
    values = torch.from_numpy(arrays[about["array"]]).to(getattr(torch, about["type"]))
    order = about["alone" if len(values) == 1 else "together"]
    if about["per_image"] > 1:
        values = values.flatten(0, 1)
    return laid_out(values.movedim(0, about["axis"]), order, about["scale"], about["zero_point"])


def argument(about: Any, arrays: Arrays, known: dict[str, Any]) -> Any:
    """One argument of the operation. ``known``: tensors by name, as one that is given twice stays one."""
    if isinstance(about, list):
        return [argument(part, arrays, known) for part in about]
    if about["is"] == "rows":
        if about["array"] not in known:
            known[about["array"]] = rows(about, arrays)
        return known[about["array"]]
    if about["is"] in ("tensor", "packed"):
        return known[about.get("array", "packed")]
    return getattr(torch, about["value"]) if about["is"] == "torch" else about["value"]


def prepared(case: dict[str, Any], arrays: Arrays) -> Run:
    """The operation with the arguments that all images share; its outputs come as [images, ...] arrays."""
    operation: Any = torch.ops
    for part in case["operation"].split("."):
        operation = getattr(operation, part)
    fixed = {}
    for about in [*case["arguments"], *case["named"].values()]:
        if isinstance(about, dict) and about["is"] == "tensor":
            values = torch.from_numpy(arrays[about["array"]]).to(getattr(torch, about["type"]))
            fixed[about["array"]] = laid_out(values, about["order"])
        if isinstance(about, dict) and about["is"] == "packed":
            fixed["packed"] = packed(about, arrays)

    def run(given: Arrays) -> list[Any]:
        with torch.inference_mode():
            known = dict(fixed)
            args = [argument(about, given, known) for about in case["arguments"]]
            named = {name: argument(about, given, known) for name, about in case["named"].items()}
            result = operation(*args, **named)
            results = result if isinstance(result, (tuple, list)) else [result]
            tensors = [value for value in results if isinstance(value, torch.Tensor)]
            return [rows_of(tensor, about) for tensor, about in zip(tensors, case["results"], strict=True)]

    return run


def rows_of(tensor: Any, about: dict[str, int]) -> Any:
    """The values [images, ...] of a result; of a quantized one its integers, of bfloat16 the same values in float32."""
    values = tensor.int_repr() if tensor.is_quantized else tensor
    if values.dtype == torch.bfloat16:
        values = values.float()
    rows = np.moveaxis(values.numpy(), about["axis"], 0)
    return rows.reshape(-1, about["per_image"], *rows.shape[1:]) if about["per_image"] > 1 else rows


def start(case: dict[str, Any], folder: Path) -> tuple[Run, Arrays]:
    """Threads and engine as recorded, then the operation and its data."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(case["threads"])
    torch.set_num_interop_threads(1)
    if case["engine"]:
        torch.backends.quantized.engine = case["engine"]
    arrays = load(case["data"], folder)
    return prepared(case, arrays), arrays
