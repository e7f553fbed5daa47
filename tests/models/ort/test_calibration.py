import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from isobatch.models.ort import calibration as ort_calibration
from isobatch.models.ort.calibration import RANGES_FILE, calibrated, observe, prepared
from isobatch.models.ort.export import exported
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Artifact, VariantUnavailable
from tests.models.ort.small_onnx import CLASSES, build, classifier, pixels, request, stored


def calibrate(made_of: BuildRequest) -> Artifact:
    return calibrated(made_of, prepared(made_of, exported(made_of)))


def test_ranges_are_the_extremes_over_all_images(tmp_path: Path) -> None:
    images = pixels(7)
    onnx.save(classifier(), tmp_path / MODEL_FILE)
    ranges = observe(tmp_path / MODEL_FILE, stored(tmp_path, images))
    logits = open_session(tmp_path / MODEL_FILE, 1).run(None, {"images": images})[0]
    assert ranges["images"] == (images.min(), images.max())
    assert np.allclose(ranges["logits"], ([logits.min()], [logits.max()]), rtol=1e-5)


def test_every_activation_of_the_prepared_graph_has_a_range(tmp_path: Path) -> None:
    made_of = request(tmp_path, classifier(), calibration=pixels(3))
    stored_ranges = json.loads((calibrate(made_of).folder / RANGES_FILE).read_text())["data"]
    graph = onnx.load_model(prepared(made_of, exported(made_of)).folder / MODEL_FILE).graph
    assert {name for node in graph.node for name in node.output} | {"images"} == stored_ranges.keys()


def test_both_formats_share_one_pass_over_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def counted(*arguments: Any) -> Any:
        passes.append(arguments)
        return observe(*arguments)

    monkeypatch.setattr(ort_calibration, "observe", counted)
    made_of = request(tmp_path, classifier(), calibration=pixels(3))
    for name in ("ort-int8", "ort-int8-qoperator"):
        build(name, made_of, tmp_path)
    assert len(passes) == 1


def test_other_images_are_another_calibration(tmp_path: Path) -> None:
    first, second = (calibrate(request(tmp_path, classifier(), calibration=pixels(3, seed=seed))) for seed in (0, 1))
    assert first.key != second.key


def test_a_tensor_that_is_not_finite_is_named(tmp_path: Path) -> None:
    model = classifier()
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(8, np.inf, np.float32), "b.bias"))
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / MODEL_FILE)
    with pytest.raises(ValueError, match="tensor 'b' is not finite for image 0"):
        observe(tmp_path / MODEL_FILE, stored(tmp_path, pixels(2)))


def with_an_empty_part() -> onnx.ModelProto:
    model = classifier()
    ends = numpy_helper.from_array(np.array([0], np.int64), "ends"), numpy_helper.from_array(np.array([1]), "axes")
    model.graph.initializer.extend(ends)
    model.graph.node.append(helper.make_node("Slice", ["logits", "ends", "ends", "axes"], ["nothing"], "nothing"))
    model.graph.output.append(helper.make_tensor_value_info("nothing", onnx.TensorProto.FLOAT, ["n", 0]))
    return model


def test_what_holds_no_value_has_no_scale_and_stays_in_float(tmp_path: Path) -> None:
    made_of = request(tmp_path, with_an_empty_part(), calibration=pixels(3))
    ranges = calibrate(made_of)
    assert ranges.manifest.recipe["masks"] == ["nothing"]
    assert "nothing" not in json.loads((ranges.folder / RANGES_FILE).read_text())["data"]
    built = build("ort-int8", made_of, tmp_path)
    assert [value.shape for value in open_session(built.folder / MODEL_FILE, 1).run(None, {"images": pixels(2)})] == [
        (2, CLASSES),
        (2, 0),
    ]


def test_images_that_the_graph_does_not_take_are_a_variant_that_cannot_be_had(tmp_path: Path) -> None:
    onnx.save(onnx.shape_inference.infer_shapes(classifier(("n", 3, 8, 8))), tmp_path / MODEL_FILE)
    with pytest.raises(VariantUnavailable, match=r"'images' takes 8 on axis 2, and got 24"):
        observe(tmp_path / MODEL_FILE, stored(tmp_path, pixels(2)))


def test_without_images_there_is_no_calibration(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="calibration images"):
        calibrate(request(tmp_path, classifier()))
