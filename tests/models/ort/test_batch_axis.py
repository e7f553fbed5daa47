"""A batch on another axis than the first: the turned graph gives what the file gives, with the batch in front."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from isobatch.models.ort.check_user_file import OnnxError, check_onnx


def sequences(path: Path) -> Path:
    """[time, n, features] in; sums over time [n, features] and what came before, [features, time, n], out."""
    nodes = [
        helper.make_node("CumSum", ["x", "first"], ["sums"]),
        helper.make_node("ReduceMax", ["sums"], ["most"], axes=[0], keepdims=0),
        helper.make_node("Transpose", ["sums"], ["all"], perm=[2, 0, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "sequences",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", "n", 3])],
        [
            helper.make_tensor_value_info("most", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("all", TensorProto.FLOAT, [3, "t", "n"]),
        ],
        [onnx.numpy_helper.from_array(np.array(0, np.int32), "first")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), path)
    return path


def test_the_bytes_are_those_of_the_file_with_the_batch_in_front(tmp_path: Path) -> None:
    path = sequences(tmp_path / "net.onnx")
    checked = check_onnx(path, batch_axes={"x": 1, "all": 2, "most": 0})
    assert [str(graph_input) for graph_input in checked.inputs] == ["x: float32 [n, any, 3]"]
    assert checked.notes[0].startswith("its batch is axis 1 of 'x' and axis 2 of 'all' (--batch-axis)")
    assert checked.sha256 != check_onnx(path).sha256  # what is kept of one is not the other's
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    most, every = ort.InferenceSession(path).run(None, {"x": x})
    turned = ort.InferenceSession(checked.model.SerializeToString())
    assert [value.name for value in turned.get_outputs()] == ["most", "all"]
    got = turned.run(None, {"x": np.ascontiguousarray(x.transpose(1, 0, 2))})
    assert got[0].tobytes() == most.tobytes()
    assert got[1].tobytes() == np.ascontiguousarray(every.transpose(2, 0, 1)).tobytes()


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"y": 1}, r"--batch-axis y=1: the graph has 'x', 'most', 'all'; did you mean"),
        ({"x": 3}, r"--batch-axis x=3: 'x' has 3 axes, 0 to 2"),
    ],
)
def test_what_the_graph_does_not_have_is_said(tmp_path: Path, axes: dict[str, int], said: str) -> None:
    with pytest.raises(OnnxError, match=said):
        check_onnx(sequences(tmp_path / "net.onnx"), batch_axes=axes)
