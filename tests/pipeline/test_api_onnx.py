"""ONNX files of any named inputs through the Python interface: given by name or in order, in the graph's own types."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from isobatch.models.user_inputs import as_rows
from isobatch.models.user_networks import open_network
from isobatch.pipeline import compare_batch_invariance, make_batch_invariant
from isobatch.pipeline.api import compared_with_origin
from isobatch.pipeline.testing import assert_batch_invariant
from tests.models.ort import several
from tests.models.ort.small_onnx import build, request

GIVEN = several.given(5)


def own_sums(kind: int = TensorProto.UINT8, shape: tuple[Any, ...] = ("n", 4, 4, 3)) -> bytes:
    """The largest value of each image's rows, in float32."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["most"], axes=[1, 2], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("pixels", kind, shape)],
        [helper.make_tensor_value_info("most", TensorProto.FLOAT, ["n", 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = made.SerializeToString()
    return data


@pytest.mark.parametrize(
    "inputs",
    [
        GIVEN,
        (GIVEN["ids"], GIVEN["mask"]),
        {"mask": GIVEN["mask"], "ids": GIVEN["ids"].astype(np.int32)},
    ],
    ids=["by name", "in order", "of another width"],
)
def test_several_inputs_are_compared_output_by_output(inputs: Any) -> None:
    result = compare_batch_invariance(several.tokens(), inputs)
    assert result.verdict in ("batch-invariant", "batch-variant") and result.outputs == ("pooled", "logits")
    assert result.tested.inputs == "ids int64 [6] and mask bool [6]"


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.UINT8, np.uint8), (TensorProto.FLOAT16, np.float16)])
def test_other_types_than_float32_are_fed_as_such(kind: int, dtype: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 3)).astype(dtype)
    assert_batch_invariant(own_sums(kind), pixels)
    assert compare_batch_invariance(own_sums(kind), pixels).tested.inputs.startswith(np.dtype(dtype).name)


def test_another_byte_order_holds_the_same_numbers() -> None:
    with open_network(several.tokens().SerializeToString(), 1) as runner:
        rows = [runner.fitted(as_rows(inputs)) for inputs in (GIVEN, {**GIVEN, "ids": GIVEN["ids"].astype(">i8")})]
        assert runner.run(rows[0]).tobytes() == runner.run(rows[1]).tobytes()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (GIVEN["ids"], r"takes ids: int64 \[n, 6\]; mask: bool \[n, 6\]: give a dict of arrays by those names"),
        ({**GIVEN, "more": GIVEN["ids"]}, "and the network takes ids"),
        ({**GIVEN, "ids": GIVEN["ids"].astype(np.float32)}, r"ids: int64 .*: convert it with .astype\('int64'\)"),
        ({**GIVEN, "ids": GIVEN["ids"][:, :4]}, "give images of that shape"),
        ({**GIVEN, "ids": GIVEN["ids"] + several.ROWS}, "cannot be run on 1 of these examples"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(inputs: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        compare_batch_invariance(several.tokens(), inputs)


def test_a_dynamic_graph_of_several_inputs_is_made_invariant(tmp_path: Path) -> None:
    onnx.save(several.tokens(), tmp_path / "net.onnx")
    artifact = build("ort-int8-dynamic", request(tmp_path, several.tokens()), tmp_path)
    path = artifact.folder / "model.onnx"
    assert not compare_batch_invariance(path, GIVEN).batch_invariant
    made = make_batch_invariant(path, GIVEN, [2, 5])
    assert made.repair.batch_invariant and compare_batch_invariance(made.network, GIVEN).batch_invariant


def test_a_graph_whose_parts_are_sequences_is_compared_and_not_looked_into() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),  # one scale for the whole batch
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("SplitToSequence", ["d"], ["parts"], axis=1),
        helper.make_node("ConcatFromSequence", ["parts"], ["y"], axis=1),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 6]) for name in "xy")
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    rows = np.random.default_rng(0).standard_normal((4, 6), np.float32)
    result, start = compared_with_origin(model, rows, None, 0.0)
    assert result.verdict == "batch-variant" and not start


def test_what_onnxruntime_cannot_run_is_told_by_the_error_alone(capfd: pytest.CaptureFixture[str]) -> None:
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [2], [1, 16])
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "sizes"], ["y"])],
        "held",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [sizes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(TypeError, match="its Reshape node fails"):
        compare_batch_invariance(model, np.ones((3, 4, 4), np.float32))
    assert capfd.readouterr().err == ""
