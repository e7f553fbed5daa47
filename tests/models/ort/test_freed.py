"""A fixed first axis is the batch, unless the file itself says where the batch is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from isobatch.models.ort.external_data import OnnxError
from isobatch.models.ort.freed import with_free_batch
from isobatch.models.ort.interface import where_names_say

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


@pytest.mark.parametrize("shape", [[1], [8]])
def test_an_input_that_is_the_same_for_all_images_is_told_from_a_fixed_batch(shape: Shape) -> None:
    model = doubled(["n", 8], ["n", 8])
    model.graph.input.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, shape))
    model.graph.node[0].input[1] = "t"
    with pytest.raises(OnnxError, match="the batch is free in 'x'") as refused:
        with_free_batch(model, Path("side.onnx"))
    remedy = re.search(r"model\.graph\.\S+\(.*'t'\)\)", str(refused.value))
    assert remedy is not None and "--batch-axis" not in str(refused.value)
    exec(remedy[0], {"model": model, "onnx": onnx, "numpy": np})
    with_free_batch(model, Path("stored.onnx"))


def test_a_fixed_batch_is_freed_where_the_values_tried_give_nan() -> None:
    model = doubled([2, 8], [2, 8])
    model.graph.node[0].CopyFrom(helper.make_node("Log", ["x"], ["y"]))
    _, notes = with_free_batch(model, Path("log.onnx"))
    assert "was freed" in notes[0]


def test_the_only_name_that_all_arrays_share_says_where_the_batch_is() -> None:
    model = doubled(["t", "n", 8], [1, "n", 8])
    assert where_names_say(model) == "x=1,y=1"
    model.graph.output[0].name = "y 0"  # as it is typed
    assert where_names_say(model) == "'x=1,y 0=1'"
    assert where_names_say(doubled(["n", "t"], ["n", 8])) == ""
    assert where_names_say(doubled(["n", "t"], ["n", "t"])) == ""
