"""Outputs that are no arrays of numbers, or that no input can change: replaced, or left out and said, or refused."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from isobatch.models.ort.check_user_file import OnnxError, check_onnx
from isobatch.models.ort.interface import without_rows
from isobatch.models.ort.session import open_session
from isobatch.models.user_graphs import GraphRunner

CLASSES = 3
ROWS = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)


def array(name: str, kind: int, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def scoring(*more: onnx.NodeProto, outputs: list[ValueInfoProto]) -> ModelProto:
    """[n, 5] -> scores [n, 3], and what ``more`` makes of them."""
    weights = numpy_helper.from_array(np.eye(5, CLASSES, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["scores"])
    graph = helper.make_graph([node, *more], "g", [array("x", TensorProto.FLOAT, "n", 5)], outputs, [weights])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def checked(folder: Path, model: ModelProto) -> tuple[ModelProto, str]:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    checked_model = check_onnx(path)
    return checked_model.model, "; ".join(checked_model.notes)


def results(model: ModelProto) -> dict[str, np.ndarray]:
    session = open_session(model.SerializeToString(), 1)
    return dict(zip([out.name for out in session.get_outputs()], session.run(None, {"x": ROWS}), strict=True))


def test_the_maps_of_a_zip_map_give_way_to_their_array(tmp_path: Path) -> None:
    zipped = helper.make_node("ZipMap", ["scores"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    of_maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    label = helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)
    outputs = [array("label", TensorProto.INT64, "n"), helper.make_value_info("maps", of_maps)]
    model, notes = checked(tmp_path, scoring(zipped, label, outputs=outputs))
    assert "'maps' is a list of maps (ZipMap): the array 'scores'" in notes
    arrays = results(model)
    assert list(arrays) == ["label", "scores"] and arrays["scores"].tobytes() == ROWS[:, :CLASSES].tobytes()


def test_bfloat16_is_handed_over_as_the_float32_that_holds_it(tmp_path: Path) -> None:
    cast = helper.make_node("Cast", ["scores"], ["small"], to=TensorProto.BFLOAT16)
    model, notes = checked(tmp_path, scoring(cast, outputs=[array("small", TensorProto.BFLOAT16, "n", CLASSES)]))
    assert "'small' is bfloat16" in notes
    want = ROWS[:, :CLASSES].astype(ml_dtypes.bfloat16).astype(np.float32)
    assert results(model)["small"].tobytes() == want.tobytes()


SCORES = array("scores", TensorProto.FLOAT, "n", CLASSES)
TEXT = helper.make_node("LabelEncoder", ["place"], ["text"], domain="ai.onnx.ml", keys_int64s=[0], values_strings=["a"])
PLACE = helper.make_node("ArgMax", ["scores"], ["place"], axis=1, keepdims=0)
PIECES = helper.make_node("SplitToSequence", ["scores"], ["pieces"], axis=1)
TABLE = helper.make_node("Identity", ["w"], ["table"])


@pytest.mark.parametrize(
    ("nodes", "output", "why"),
    [
        ([PLACE, TEXT], array("text", TensorProto.STRING, "n"), "'text' is of type STRING"),
        ([PIECES], helper.make_tensor_sequence_value_info("pieces", TensorProto.FLOAT, None), "'pieces' is a sequence"),
        ([TABLE], array("table", TensorProto.FLOAT, 5, CLASSES), "'table' is the same for all inputs"),
    ],
)
def test_what_cannot_be_compared_is_left_out_and_said_or_refused_where_nothing_is_left(
    tmp_path: Path, nodes: list[onnx.NodeProto], output: ValueInfoProto, why: str
) -> None:
    model, notes = checked(tmp_path, scoring(*nodes, outputs=[output, SCORES]))
    assert f"{why}" in notes and list(results(model)) == ["scores"]
    with pytest.raises(OnnxError, match=why):
        checked(tmp_path, scoring(*nodes, outputs=[output]))


def test_drawn_numbers_are_not_the_same_for_all_inputs(tmp_path: Path) -> None:
    drawn = helper.make_node("RandomNormal", [], ["noise"], shape=[4, 2])
    model, _ = checked(tmp_path, scoring(drawn, outputs=[SCORES, array("noise", TensorProto.FLOAT, 4, 2)]))
    assert [value.name for value in model.graph.output] == ["scores", "noise"]


def test_leaving_out_an_output_of_the_whole_batch_is_a_remedy_that_works(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["scores"], ["mean"], keepdims=0)
    path = tmp_path / "net.onnx"
    path.write_bytes(scoring(mean, outputs=[SCORES, array("mean", TensorProto.FLOAT)]).SerializeToString())
    with GraphRunner(path, 1) as runner, pytest.raises(TypeError, match=r"'mean' has the shape \[\]") as refused:
        runner.learn(ROWS[:2])
    remedy = str(refused.value).rpartition("or leave it out: ")[2]
    exec(remedy, {"onnx": onnx, "FILE": str(path), "NEW_FILE": str(tmp_path / "new.onnx")})
    with GraphRunner(tmp_path / "new.onnx", 1) as runner:
        runner.learn(ROWS[:2])
        assert list(runner.leaves(ROWS)) == [""]


@pytest.mark.parametrize(
    ("given", "back", "axes"),
    [
        (("t", "n", 6), ("n", 8), "x=1"),
        ((7, "n", 6), ("n", 8), "x=1"),
        (("n", 6), (5, "n"), "y=1"),
        (("n", 6), (5, 6), "NAME=1"),
        (("n", 6), (), ""),
    ],
)
def test_the_names_of_axes_say_where_the_batch_is(
    given: tuple[int | str, ...], back: tuple[int | str, ...], axes: str
) -> None:
    inputs, outputs = [array("x", TensorProto.FLOAT, *given)], [array("y", TensorProto.FLOAT, *back)]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", inputs, outputs)
    said = without_rows(helper.make_model(graph), "y")
    assert said.partition("--batch-axis ")[2] == axes


def test_nodes_that_only_a_left_out_output_needed_go_with_it(tmp_path: Path) -> None:
    apart = helper.make_node("SplitToSequence", ["scores"], ["parts"], axis=1)
    parts = helper.make_value_info(
        "parts", helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 1]))
    )
    apart.input.append("lengths")
    given = scoring(apart, outputs=[parts, array("scores", TensorProto.FLOAT, "n", CLASSES)])
    given.graph.initializer.append(numpy_helper.from_array(np.ones(CLASSES, np.int64), "lengths"))
    model, said = checked(tmp_path, given)
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    assert [tensor.name for tensor in model.graph.initializer] == ["w"]
    assert said == "its output 'parts' is a sequence, not an array: it is left out"
