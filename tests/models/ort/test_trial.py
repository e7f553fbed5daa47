from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from isobatch.models.ort.check_user_file import OnnxError
from isobatch.models.ort.trial import Tried, tried
from isobatch.models.spec.images import Field, Images, record_type
from isobatch.models.spec.outcome import Outcome
from tests.models.ort.small_onnx import CLASSES, classifier, pixels, stored
from tests.models.ort.test_check_user_file import reshaping, saved


def trial(
    folder: Path, model: onnx.ModelProto, images: NDArray[np.float32] | None = None, asked: str = "auto"
) -> Tried:
    few = stored(folder, pixels(4) if images is None else images)
    return tried(saved(folder, model), few, None, "net.onnx", asked)


def outcome(folder: Path, model: onnx.ModelProto, asked: str = "auto") -> Outcome:
    result = trial(folder, model, asked=asked)
    assert result.refusal is None and result.outcome is not None
    return result.outcome


def ending(*nodes: onnx.NodeProto, name: str = "answer", kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """The small classifier with these nodes behind its logits."""
    model = classifier()
    model.graph.node.extend(nodes)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(name, kind, None))
    return model


def node(operator: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(operator, ["logits"], ["answer"], **attributes)


@pytest.mark.parametrize(
    ("model", "kind", "threshold"),
    [
        (classifier(), "classes", 0.0),
        (ending(node("Softmax")), "classes", 0.0),
        (ending(node("Sigmoid")), "labels", 0.5),
        (ending(node("LpNormalization")), "embedding", 0.0),
        (ending(node("ArgMax", axis=1, keepdims=0), kind=TensorProto.INT64), "raw", 0.0),
        (ending(node("ReduceMax", keepdims=1)), "raw", 0.0),
        (ending(helper.make_node("ReduceSum", ["logits", "one"], ["answer"])), "binary", 0.0),
    ],
)
def test_the_outcome_follows_from_what_the_output_is(
    tmp_path: Path, model: onnx.ModelProto, kind: str, threshold: float
) -> None:
    if model.graph.node[-1].op_type == "ReduceSum":
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "one"))
    if model.graph.node[-1].op_type == "ReduceMax":  # over all axes: no row an image
        result = trial(tmp_path, model)
        assert result.refusal is not None and "baked" in result.refusal
        return
    found_kind = outcome(tmp_path, model)
    assert (found_kind.kind, found_kind.threshold) == (kind, threshold)


@pytest.mark.parametrize(("last", "through"), [("Softmax", "Softmax"), ("Sigmoid", "Sigmoid"), ("LogSoftmax", "")])
def test_a_last_operator_that_squashes_is_looked_through_and_said(tmp_path: Path, last: str, through: str) -> None:
    outcome_read = outcome(tmp_path, ending(node(last)))
    assert outcome_read.through == through
    assert (f"margins are taken before its {last}" in outcome_read.why) == bool(through)


def test_the_first_row_of_values_among_several_outputs_is_the_outcome(tmp_path: Path) -> None:
    model = classifier()
    model.graph.output.insert(0, helper.make_tensor_value_info("sum_act", TensorProto.FLOAT, None))
    outcome_read = outcome(tmp_path, model)
    maps = 8 * 12 * 16
    assert [(leaf.name, leaf.start, leaf.stop) for leaf in outcome_read.leaves] == [
        ("sum_act", 0, maps),
        ("logits", maps, maps + CLASSES),
    ]
    assert (outcome_read.kind, outcome_read.start, outcome_read.stop) == ("classes", maps, maps + CLASSES)


def test_an_outcome_that_is_asked_for_is_taken_or_refused_with_one_that_fits(tmp_path: Path) -> None:
    assert outcome(tmp_path, classifier(), "embedding").kind == "embedding"
    with pytest.raises(OnnxError, match=r"--outcome binary: .* 10 values an image; give --outcome classes"):
        trial(tmp_path, classifier(), asked="binary")


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    result = trial(tmp_path, classifier(("n", 3, 24, 32)), pixels(2, (64, 64)))
    assert result.refusal == "it takes images: float32 [n, 3, 24, 32], and these are float32 [n, 3, 64, 64]"


@pytest.mark.parametrize("size", [1, 4])
def test_a_batch_size_hidden_in_a_reshape_is_copied_instead(tmp_path: Path, size: int) -> None:
    model = classifier()
    reshaping(model, [size, 8])
    result = trial(tmp_path, model)
    assert result.refusal is None and result.rewritten is not None


def test_a_batch_size_hidden_elsewhere_is_called_baked_in(tmp_path: Path) -> None:
    model = classifier()
    model.graph.node[-1].input[0] = "two"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 8), np.float32), "ones"))
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Add", ["flat", "ones"], ["two"]))
    result = trial(tmp_path, model)
    assert result.refusal is not None and "baked in" in result.refusal and "x.flatten(1)" in result.refusal


def test_several_inputs_are_fed_by_name(tmp_path: Path) -> None:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT16, ["n", 1]))
    model.graph.node.append(helper.make_node("Cast", ["scale"], ["wide"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Mul", ["logits", "wide"], ["answer"]))
    model.graph.output[0].name = "answer"
    fields = (Field("images", "float32", (3, 24, 32)), Field("scale", "float16", (1,)))
    rows = np.zeros(3, record_type(fields))
    rows["images"], rows["scale"] = pixels(3), 2
    path = tmp_path / "rows.raw"
    path.write_bytes(rows.tobytes())
    images = Images("rows", str(path), "arrays", (3, 3, 24, 32), "", fields=fields)
    result = tried(saved(tmp_path, model), images, None, "net.onnx")
    assert result.refusal is None and result.outcome is not None and result.outcome.kind == "classes"
    short = Images("rows", str(path), "arrays", (3, 3, 24, 32), "", fields=fields[:1])
    refused = tried(saved(tmp_path, model), short, None, "net.onnx").refusal
    assert refused is not None and "arrays images were given" in refused


def test_rows_that_grow_with_the_batch_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    turned = helper.make_node("Transpose", ["logits"], ["turned"], perm=[1, 0])
    model = ending(turned, helper.make_node("MatMul", ["logits", "turned"], ["answer"]))
    with pytest.raises(OnnxError, match=r"'answer' has the shape \[1, 1\] for one and \[2, 2\] for two.* check"):
        trial(tmp_path, model)


def test_an_output_without_values_is_no_outcome(tmp_path: Path) -> None:
    ends = {"ends": np.array([0], np.int64), "axes": np.array([1], np.int64)}
    model = ending(helper.make_node("Slice", ["logits", "ends", "ends", "axes"], ["answer"]))
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in ends.items())
    with pytest.raises(OnnxError, match="hold no values"):
        trial(tmp_path, model)
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES]))
    assert [leaf.name for leaf in outcome(tmp_path, model).leaves] == ["logits"]
