"""A fixed first axis is the batch, unless the file itself says where the batch is."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from isobatch.models.ort.external_data import OnnxError
from isobatch.models.ort.freed import with_free_batch

Shape = list[int | str]


def doubled(given: Shape, back: Shape) -> ModelProto:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", given), ("y", back)))
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_another_axis_that_alone_is_free_everywhere_is_asked_about_and_not_overruled() -> None:
    with pytest.raises(OnnxError, match="--batch-axis x=1,y=1;"):
        with_free_batch(doubled([6, "n", 8], [6, "n", 8]), Path("seq.onnx"))


@pytest.mark.parametrize("shape", [[1, "time", 8], [4, 3, "h", "w"], [4, 8]])
def test_a_fixed_batch_is_freed_where_nothing_else_can_be_it(shape: Shape) -> None:
    freed, notes = with_free_batch(doubled(shape, shape), Path("fixed.onnx"))
    assert not freed.graph.input[0].type.tensor_type.shape.dim[0].dim_value and "was freed" in notes[0]
