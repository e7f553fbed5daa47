from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from isobatch.models.ort.clipping import WATCHED_FILE, clip_counts
from isobatch.models.ort.session import MODEL_FILE, open_session
from tests.models.ort.small_onnx import build, classifier, pixels, request

STATIC = ["ort-int8", "ort-int8-qoperator"]


def shares(
    folder: Path, calibration: NDArray[np.float32], images: NDArray[np.float32], name: str, activation: str = "Relu"
) -> dict[str, float]:
    artifact = build(name, request(folder, classifier(activation=activation), calibration), folder)
    counts = clip_counts(artifact.folder / WATCHED_FILE, images, threads=1)
    return {layer: lost / seen for layer, (lost, seen) in counts.items()}


def test_a_graph_in_which_nothing_was_quantized_has_no_counts(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / WATCHED_FILE)
    assert clip_counts(tmp_path / WATCHED_FILE, pixels(2), threads=1) == {}


@pytest.mark.parametrize("name", STATIC)
def test_a_sane_calibration_loses_next_to_nothing(tmp_path: Path, name: str) -> None:
    clipped = shares(tmp_path, pixels(64), pixels(64, seed=1), name)
    assert {"images", "a", "b", "c"} <= clipped.keys()
    assert max(clipped.values()) < 0.01


@pytest.mark.parametrize("name", STATIC)
def test_a_calibration_on_faint_images_loses_what_the_range_says(tmp_path: Path, name: str) -> None:
    calibration, images = 0.3 * pixels(8), pixels(8, seed=1)
    clipped = shares(tmp_path, calibration, images, name)
    step = (calibration.max() - calibration.min()) / 255
    beyond = (images > calibration.max() + 1.5 * step) | (images < calibration.min() - 1.5 * step)
    assert clipped["images"] == pytest.approx(beyond.mean(), rel=0.15)
    assert clipped["images"] > 0.1 and clipped["a"] > 0.01


def test_a_white_background_at_the_limit_is_not_lost(tmp_path: Path) -> None:
    images = np.clip(pixels(4), -1, 1)  # a third of all pixels are the largest or the smallest value
    assert shares(tmp_path, images, images, "ort-int8")["images"] == 0


def test_what_relu_removes_is_not_lost(tmp_path: Path) -> None:
    images = pixels(4)
    onnx.save(classifier(), tmp_path / MODEL_FILE)
    model = onnx.load_model(tmp_path / MODEL_FILE)
    model.graph.output.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, None))
    before_relu = open_session(model.SerializeToString(), 1).run(["a"], {"images": images})[0]
    assert (before_relu < 0).mean() > 0.2
    # not quite 0 where reduce_range makes the steps coarse: a quantized input can carry a sum beyond the float range
    assert shares(tmp_path, images, images, "ort-int8")["a"] < 0.001


def test_what_relu6_removes_is_not_lost(tmp_path: Path) -> None:
    loud = 20 * pixels(4)  # most of the activations exceed 6
    assert max(shares(tmp_path, loud, loud, "ort-int8", "Clip").values()) < 0.001


def test_below_six_relu6_hides_no_loss(tmp_path: Path) -> None:
    assert shares(tmp_path, 0.3 * pixels(4), 20 * pixels(4, seed=1), "ort-int8", "Clip")["a"] > 0.1


def test_a_clip_may_lack_a_bound(tmp_path: Path) -> None:
    lost = []
    for bounds in ([], ["low"], ["", "high"], ["low", "high"]):
        model = classifier(activation="Clip")
        for node in model.graph.node:
            if node.op_type == "Clip":
                node.input[1:] = bounds
        folder = tmp_path / "-".join(["with", *bounds])
        folder.mkdir()
        artifact = build("ort-int8", request(folder, model, 2 * pixels(8)), folder)
        lost.append(clip_counts(artifact.folder / WATCHED_FILE, 20 * pixels(2, seed=1), threads=1)["a"][0])
    without, from_low, to_high, between = lost
    assert without > from_low > between and without > to_high > between


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_the_watched_graph_gives_the_deployed_bytes(tmp_path: Path, activation: str) -> None:
    artifact = build("ort-int8", request(tmp_path, classifier(activation=activation), pixels(4)), tmp_path)
    deployed, watched = (
        open_session(artifact.folder / name, 1).run(None, {"images": pixels(4, seed=1)})[0]
        for name in (MODEL_FILE, WATCHED_FILE)
    )
    assert deployed.tobytes() == watched.tobytes()
