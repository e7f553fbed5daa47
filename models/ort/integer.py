"""The exact sums behind onnxruntime's integer operators.

Operators that take and give 8-bit codes with constant scales: convolutions, matrix products and additions, in the form
in which the optimised graph holds them (fused from QDQ nodes, channels last where onnxruntime chose that).
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from isobatch.models.spec.interventions import Accumulators
from isobatch.models.spec.runner import Rows

_PLACES = {
    operator: {role: at for at, role in enumerate(roles.split())}
    for operator, roles in {
        "QLinearConv": "x x_scale x_zero weight w_scale w_zero y_scale y_zero bias",
        "QLinearMatMul": "x x_scale x_zero weight w_scale w_zero y_scale y_zero",
        "QGemm": "x x_scale x_zero weight w_scale w_zero bias y_scale y_zero",
        "QLinearAdd": "x x_scale x_zero w w_scale w_zero y_scale y_zero",
        "QuantizeLinear": "x y_scale y_zero",
    }.items()
}
"""The inputs of each operator (ONNX operator schemas; ContribOperators.md of onnxruntime)."""
_ROWS = ("x", "w")  # of an addition both
_OPTIONAL = ("x_zero", "w_zero", "y_zero", "bias")


@dataclass(frozen=True)
class IntegerNode:
    """One operator with its constants, and their names in the graph, by role."""

    operator: str
    attributes: dict[str, Any]
    names: dict[str, str]
    values: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, model: ModelProto) -> Self | None:
        """The operator of this model of one layer; None where it has others, or scales that are not constant."""
        if len(model.graph.node) != 1 or (node := model.graph.node[0]).op_type not in _PLACES:
            return None
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        given = dict(enumerate(node.input))
        names = {role: given.get(at, "") for role, at in _PLACES[node.op_type].items() if role not in _ROWS}
        names = {role: name for role, name in names.items() if name in stored}
        needed = {role for role in _PLACES[node.op_type] if role not in (*_OPTIONAL, *_ROWS)}
        usual = (
            attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
            and attributes.get("alpha", 1.0) == 1.0
            and not attributes.get("transA", 0)
        )
        if not needed <= names.keys() or not usual:
            return None
        values = {role: numpy_helper.to_array(stored[name]) for role, name in names.items()}
        if any(values[role].size > 1 for role in ("x_scale", "x_zero", "y_scale", "y_zero") if role in values):
            return None
        return cls(node.op_type, attributes, names, values)

    def scalar(self, role: str) -> float:
        """The constant in this role; 0 where there is none."""
        return float(self.values[role].reshape(-1)[0]) if role in self.values else 0.0

    @property
    def channels_last(self) -> bool:
        """Whether channels are the last axis of its rows."""
        return bool(self.attributes.get("channels_last", 0)) or self.operator != "QLinearConv"

    @property
    def weight(self) -> NDArray[np.int64]:
        """The weight's codes without their zero point, outputs first."""
        weight = self.values["weight"].astype(np.int64)
        if weight.ndim == 2 and not self.attributes.get("transB", 0):
            weight = weight.T
        zeros = np.asarray(self.values.get("w_zero", 0), np.int64).reshape(-1)
        return weight - zeros.reshape((-1,) + (1,) * (weight.ndim - 1))

    @property
    def bias(self) -> NDArray[np.int64]:
        """int64 [outputs]; zeros where there is none."""
        outputs = len(self.weight)
        return np.broadcast_to(np.asarray(self.values.get("bias", 0), np.int64).reshape(-1), (outputs,))

    def accumulators(self, inputs: Rows) -> Accumulators | None:
        """As ``isobatch.models.spec.interventions.Integer``; the bias, an integer here, is part of the sums."""
        if self.operator == "QuantizeLinear" or "y_zero" not in self.values:
            return None
        limits = np.iinfo(self.values["y_zero"].dtype)
        product = "weight" in self.values
        if not product and len(inputs) != 2:
            return None
        operands = ("x",) if product else _ROWS
        zeros = tuple(int(self.scalar(f"{role}_zero")) for role in operands)
        if product:
            exact: tuple[NDArray[np.int64], ...] = (self._sums(inputs[0]),)
            weight_scales = np.broadcast_to(self.values["w_scale"].reshape(-1), self.bias.shape)
            weight_scales = weight_scales if self.channels_last else weight_scales.reshape(-1, 1, 1)
        else:
            exact = tuple(rows.astype(np.int64) - zero for rows, zero in zip(inputs, zeros, strict=True))
            weight_scales = np.ones(1)
        return Accumulators(
            exact=exact,
            input_scales=tuple(self.scalar(f"{role}_scale") for role in operands),
            input_zero_points=zeros,
            weight_scales=np.asarray(weight_scales, np.float64),
            bias=np.zeros(1),
            output_scale=self.scalar("y_scale"),
            zero_point=int(self.scalar("y_zero")),
            low=int(limits.min),
            high=int(limits.max),
        )

    def _sums(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Exact: float64 holds every sum, as all stay far below 2^53."""
        centred, weight = rows.astype(np.float64) - self.scalar("x_zero"), self.weight.astype(np.float64)
        if weight.ndim == 2:
            return np.asarray(centred @ weight.T, np.int64) + self.bias
        import torch  # a second of every worker's start, and only a layer that is looked into needs it
        from torch.nn import functional

        if self.channels_last:
            centred = np.moveaxis(centred, -1, 1)
        top, left, bottom, right = self.attributes.get("pads", [0, 0, 0, 0])
        padded = functional.pad(torch.from_numpy(np.ascontiguousarray(centred)), (left, right, top, bottom))
        window = self.attributes.get("strides", 1), 0, self.attributes.get("dilations", 1)
        made = functional.conv2d(padded, torch.from_numpy(weight), None, *window, self.attributes.get("group", 1))
        sums = np.moveaxis(made.numpy(), 1, -1).astype(np.int64) + self.bias
        return sums if self.channels_last else np.moveaxis(sums, -1, 1)
