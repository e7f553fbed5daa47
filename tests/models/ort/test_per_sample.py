"""Scales of each sample in dynamically quantized graphs: bit by bit what the native graph gives a sample alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from isobatch.models.ort.per_sample import per_sample_scales
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.spec.words import VariantUnavailable
from tests.models.ort.small_onnx import build, classifier, pixels, request

SIZES = range(1, 10)
IMAGES = pixels(9, seed=7) * np.linspace(0.5, 3, 9, dtype=np.float32).reshape(9, 1, 1, 1)
IMAGES[4] = 0  # of which every activation's scale is that of the bias alone


def dynamic(folder: Path, activation: str, opset: int = 20) -> ModelProto:
    model = classifier(activation=activation)
    model.opset_import[0].version = opset
    return onnx.load_model(build("ort-int8-dynamic", request(folder, model), folder).folder / MODEL_FILE)


def logits(model: ModelProto, images: NDArray[np.float32], optimise: bool = True) -> NDArray[np.float32]:
    found: NDArray[np.float32] = open_session(model.SerializeToString(), 2, optimise=optimise).run(
        None, {"images": images}
    )[0]
    return found


@pytest.mark.parametrize(
    ("activation", "opset", "scans"),
    [("Relu", 20, 1), ("Relu", 17, 1), ("Clip", 20, 1), ("HardSwish", 20, 4), ("Sigmoid", 20, 1)],
)
def test_every_n_gives_the_native_singles(tmp_path: Path, activation: str, opset: int, scans: int) -> None:
    """Only where an activation can be negative, the network's input among them, are images run one by one."""
    source = dynamic(tmp_path, activation, opset)
    model = per_sample_scales(source)
    onnx.checker.check_model(model)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["Scan"] == scans and operators["QuantizeLinear"] == 4 - scans
    session = open_session(model.SerializeToString(), 2)
    native = open_session(source.SerializeToString(), 2)
    expected = np.concatenate([native.run(None, {"images": IMAGES[i : i + 1]})[0] for i in range(len(IMAGES))])
    assert native.run(None, {"images": IMAGES})[0].tobytes() != expected.tobytes()
    for n in SIZES:
        assert session.run(None, {"images": IMAGES[:n]})[0].tobytes() == expected[:n].tobytes(), n
    assert logits(model, IMAGES, optimise=False).tobytes() == expected.tobytes()


def test_nodes_need_no_names(tmp_path: Path) -> None:
    source = dynamic(tmp_path, "HardSwish")
    for node in source.graph.node:
        node.name = ""
    expected = np.concatenate([logits(source, IMAGES[i : i + 1]) for i in range(3)])
    assert logits(per_sample_scales(source), IMAGES[:3]).tobytes() == expected.tobytes()


def test_a_form_that_is_not_known_is_run_image_by_image(tmp_path: Path) -> None:
    """Here the scale is read once more: what such a reader makes of one scale for each sample is not known."""
    source = dynamic(tmp_path, "Relu")
    quantize = next(n for n in source.graph.node if n.op_type == "DynamicQuantizeLinear" and n.input[0] == "b_act")
    product = next(n for n in source.graph.node if n.op_type == "Mul" and quantize.output[1] in n.input)
    twice = onnx.helper.make_node("Add", [quantize.output[1], quantize.output[1]], ["twice"], "twice")
    product.input[list(product.input).index(quantize.output[1])] = "twice"
    source.graph.node.insert(list(source.graph.node).index(product), twice)
    model = per_sample_scales(source)
    assert Counter(node.op_type for node in model.graph.node)["Scan"] == 2
    expected = np.concatenate([logits(source, IMAGES[i : i + 1]) for i in range(3)])
    assert logits(model, IMAGES[:3]).tobytes() == expected.tobytes()


def test_a_graph_without_dynamic_quantization_is_refused() -> None:
    with pytest.raises(VariantUnavailable, match="nothing in this graph is quantized dynamically"):
        per_sample_scales(classifier())
