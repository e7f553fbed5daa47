"""The variants against OpenVINO used directly, in a few lines; the verdict of both must be the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from isobatch.models.openvino.runner import OpenVinoRunner
from isobatch.models.openvino.session import ONNX_FILE, graph_file
from isobatch.models.ort.calls import call
from isobatch.models.ort.session import MODEL_FILE
from isobatch.models.spec.batches import batch_of
from isobatch.models.spec.runner import WHOLE, Canonical
from isobatch.models.spec.words import Artifact, RunnerSettings, VariantUnavailable
from isobatch.pipeline.inputs.storing import store_images
from tests.models.ort import several
from tests.models.ort.small_onnx import LAYERS, build, classifier, pixels, request

pytestmark = pytest.mark.extras
SETTINGS = RunnerSettings(threads=1)


def artifact_of(name: str, folder: Path) -> Artifact:
    return build(name, request(folder, classifier(), calibration=pixels(4)), folder)


def direct(file: Path, hint: str) -> Any:
    import openvino

    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint}
    return openvino.Core().compile_model(str(file), "CPU", options)


@pytest.mark.parametrize(("name", "hint"), [("ov-fp32", "f32"), ("ov-bf16", "bf16"), ("ov-int8", "f32")])
def test_the_rows_and_the_verdict_are_those_of_a_direct_script(name: str, hint: str, tmp_path: Path) -> None:
    try:
        artifact = artifact_of(name, tmp_path)
    except VariantUnavailable as missing:
        pytest.skip(missing.reason)  # of bfloat16, on other processors
    images = np.random.default_rng(0).standard_normal((5, 3, 64, 64), np.float32)
    script = direct(graph_file(artifact.folder), hint)
    alone = np.concatenate([script([images[i : i + 1]])[0].copy() for i in range(5)])
    together = script([images])[0].copy()
    with OpenVinoRunner(artifact, SETTINGS) as runner:
        ours_alone = np.concatenate([runner.run(images[i : i + 1]) for i in range(5)])
        ours_together = runner.run(images)
    assert ours_alone.tobytes() == alone.tobytes() and ours_together.tobytes() == together.tobytes()
    assert (ours_alone.tobytes() == ours_together.tobytes()) == (alone.tobytes() == together.tobytes())


def test_fp32_is_close_to_onnxruntime(tmp_path: Path) -> None:
    import onnxruntime

    artifact = artifact_of("ov-fp32", tmp_path)
    images = np.random.default_rng(1).standard_normal((2, 3, 64, 64), np.float32)
    session = onnxruntime.InferenceSession(artifact.folder / ONNX_FILE, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: images})
    with OpenVinoRunner(artifact, SETTINGS) as runner:
        rows = runner.run(images)
        effective = runner.effective()
    assert np.abs(rows - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (effective.precision, effective.weight_layers, effective.int8_layers) == ("fp32", LAYERS, 0)


def test_int8_counts_the_layers_that_really_run_in_integers(tmp_path: Path) -> None:
    artifact = artifact_of("ov-int8", tmp_path)
    with OpenVinoRunner(artifact, SETTINGS) as runner:
        effective = runner.effective()
    assert 0 < effective.int8_layers <= effective.weight_layers == LAYERS


@pytest.mark.parametrize("name", ["ov-bf16", "ov-int8"])
def test_a_quantized_file_is_made_into_no_other_variant(name: str, tmp_path: Path) -> None:
    quantized = build("ort-int8", request(tmp_path, classifier(), calibration=pixels(4)), tmp_path)
    made_of = request(tmp_path, onnx.load_model(quantized.folder / MODEL_FILE), calibration=pixels(4))
    with pytest.raises(VariantUnavailable, match=f"quantized already .* and {name} is made from a float32 graph"):
        build(name, made_of, tmp_path)
    with OpenVinoRunner(build("ov-fp32", made_of, tmp_path), SETTINGS) as runner:
        assert runner.effective().precision == "int8"


def test_bf16_is_had_or_refused_by_what_is_read_back(tmp_path: Path) -> None:
    try:
        artifact = artifact_of("ov-bf16", tmp_path)
    except VariantUnavailable as missing:
        assert "reads back" in missing.reason
        return
    with OpenVinoRunner(artifact, SETTINGS) as runner:
        assert "bf16" in runner.effective().precision


def test_calls_of_one_size_give_rows_that_do_not_know_the_batch(tmp_path: Path) -> None:
    artifact = artifact_of("ov-fp32", tmp_path)
    images = np.random.default_rng(2).standard_normal((5, 3, 64, 64), np.float32)
    with OpenVinoRunner(artifact, SETTINGS) as runner, runner.with_canonical({WHOLE: Canonical(size=2)}) as pinned:
        alone = np.concatenate([pinned.run(images[i : i + 1]) for i in range(5)])
        together = pinned.run(images)
        first = runner.run(np.repeat(images[:1], 2, axis=0))[:1]
    assert alone.tobytes() == together.tobytes() and alone[:1].tobytes() == first.tobytes()


def test_a_layer_cannot_be_rewritten_alone(tmp_path: Path) -> None:
    with OpenVinoRunner(artifact_of("ov-fp32", tmp_path), SETTINGS) as runner, pytest.raises(KeyError, match="whole"):
        runner.with_canonical({"a": Canonical(size=1)})


@pytest.mark.parametrize("name", ["ov-fp32", "ov-int8"])
def test_several_inputs_and_outputs_by_name(name: str, tmp_path: Path) -> None:
    import onnxruntime

    model, arrays = several.tokens(), batch_of(several.given(6))
    calibration = store_images("tokens", tmp_path / "tokens.raw", iter(arrays))
    made_of = replace(request(tmp_path, model), calibration=calibration)
    artifact = build(name, made_of, tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = call(session, arrays)
    with OpenVinoRunner(artifact, SETTINGS) as runner:
        rows = runner.run(arrays)
    close = 1e-5 if name == "ov-fp32" else 0.2
    assert rows.shape == expected.shape and np.abs(rows - expected).max() <= close * np.abs(expected).max()
