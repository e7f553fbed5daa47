import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from isobatch.models.ort.training_nodes import training_remarks
from isobatch.models.user_graphs import GraphRunner


def model_of(*nodes: object, **stored: np.ndarray) -> ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3))
    weights = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 3))
    return helper.make_model(helper.make_graph(nodes, "g", [value], [out], weights))


def test_a_norm_over_the_batch_is_named_with_its_cure() -> None:
    inputs, outputs = ["x", "a", "b", "c", "d"], ["y", "e", "f"]
    (said,) = training_remarks(model_of(helper.make_node("BatchNormalization", inputs, outputs, "bn", training_mode=1)))
    assert "'bn' normalises by the statistics of the batch" in said and "net.eval()" in said
    assert not training_remarks(model_of(helper.make_node("BatchNormalization", inputs, ["y"], "bn")))


def test_dropout_that_is_on_is_named_stored_or_constant() -> None:
    on = numpy_helper.from_array(np.bool_(True))
    dropout = helper.make_node("Dropout", ["x", "ratio", "on"], ["y"], "drop")
    ratio = np.float32(0.3)
    constant = helper.make_node("Constant", [], ["on"], value=on)
    for model in (model_of(dropout, ratio=ratio, on=np.bool_(True)), model_of(constant, dropout, ratio=ratio)):
        assert "'drop' is in training mode" in training_remarks(model)[0]
    assert not training_remarks(model_of(dropout, ratio=ratio, on=np.bool_(False)))


def test_drawn_numbers_are_named() -> None:
    nodes = [helper.make_node("RandomUniformLike", ["x"], [f"u{i}"]) for i in range(5)]
    (said,) = training_remarks(model_of(*nodes))
    assert "'u0', 'u1', 'u2' and 2 more draws random numbers" in said


def test_whoever_opens_a_users_file_is_told() -> None:
    noise = helper.make_node("RandomUniformLike", ["x"], ["u"]), helper.make_node("Add", ["x", "u"], ["y"])
    model = model_of(*noise)
    model.ir_version, model.opset_import[0].version = 8, 17
    runner = GraphRunner(model.SerializeToString(), 1)
    assert "draws random numbers" in runner.notes[-1]
