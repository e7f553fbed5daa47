from pathlib import Path

import numpy as np
import onnx
import pytest

from isobatch.models.ort.runner import OrtRunner
from isobatch.models.ort.session import CPU, MODEL_FILE
from isobatch.models.spec.words import Artifact, RunnerSettings
from tests.models.ort.small_onnx import LAYERS, build, classifier, pixels, request


@pytest.fixture
def plain(tmp_path: Path) -> Artifact:
    return build("ort-fp32", request(tmp_path, classifier()), tmp_path)


def effective_of(name: str, folder: Path) -> tuple[str, int, int, str]:
    artifact = build(name, request(folder, classifier(), calibration=pixels(4)), folder)
    with OrtRunner(artifact, RunnerSettings(threads=1)) as runner:
        effective = runner.effective()
    assert effective.provider == CPU
    return effective.precision, effective.int8_layers, effective.weight_layers, effective.note


def test_fp32_is_what_it_says(tmp_path: Path) -> None:
    assert effective_of("ort-fp32", tmp_path) == ("fp32", 0, LAYERS, "")


@pytest.mark.parametrize("name", ["ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"])
def test_int8_runs_in_integer_kernels(tmp_path: Path, name: str) -> None:
    precision, int8_layers, layers, _ = effective_of(name, tmp_path)
    assert (precision, int8_layers, layers) == ("int8", LAYERS, LAYERS)


def test_fp16_inside_casts_is_named_for_what_it_computes(tmp_path: Path) -> None:
    precision, _, layers, note = effective_of("ort-fp16", tmp_path)
    stored = onnx.load_model(tmp_path / "ort-fp16" / MODEL_FILE).graph.initializer
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in stored)
    kernels = int(note.split(" ", 1)[0]) if note else layers  # a machine with fp16 kernels has nothing to note
    assert precision == ("fp32" if kernels == 0 else "fp16" if kernels == layers else precision)
    assert not note or note.startswith(f"{kernels} of {LAYERS} layers with fp16 weights compute in fp16")


def test_an_int8_weight_behind_a_float_kernel_counts_as_float(tmp_path: Path) -> None:
    artifact = build("ort-int8", request(tmp_path, classifier(), calibration=pixels(4)), tmp_path)
    model = onnx.load_model(artifact.folder / MODEL_FILE)
    conv = next(node for node in model.graph.node if node.name == "b")
    producers = {name: node for node in model.graph.node for name in node.output}
    dequantize = producers[conv.input[0]]
    conv.input[0] = producers[dequantize.input[0]].input[0]  # past QuantizeLinear and DequantizeLinear
    onnx.save(model, artifact.folder / MODEL_FILE)
    with OrtRunner(artifact, RunnerSettings(threads=1)) as runner:
        effective = runner.effective()
    assert effective.int8_layers < effective.weight_layers == LAYERS
    assert effective.precision in ("int8+fp32", "fp32+int8")
    assert effective.note.startswith(f"{effective.int8_layers} of {LAYERS} layers with int8 weights compute in int8")


def test_saturation_without_reduce_range_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = build("ort-int8", request(tmp_path, classifier(), calibration=pixels(4)), tmp_path)
    monkeypatch.setattr("isobatch.models.ort.runner.saturating_operators", lambda: frozenset({"QLinearConv"}))
    with OrtRunner(artifact, RunnerSettings(threads=1)) as runner:
        note = runner.effective().note
    assert ("QLinearConv clips sums at 16 bits" in note) == (not artifact.manifest.recipe["reduce_range"])


def test_a_memory_format_without_effect_is_noted(plain: Artifact) -> None:
    with OrtRunner(plain, RunnerSettings(threads=1, memory_format="channels_last")) as runner:
        assert "channels_last has no effect" in runner.effective().note


def test_the_session_has_the_threads_of_its_condition(plain: Artifact) -> None:
    with OrtRunner(plain, RunnerSettings(threads=2)) as runner:
        options = runner.live_session().get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_logits_belong_to_the_caller(plain: Artifact) -> None:
    with OrtRunner(plain, RunnerSettings(threads=1)) as runner:
        first = runner.run(pixels(2))
        kept = first.copy()
        runner.run(pixels(2, seed=1))
        assert first.flags.owndata and first.flags.writeable and np.array_equal(first, kept)
        first[:] = 0
        assert np.array_equal(runner.run(pixels(2)), kept)


def test_layout_in_memory_changes_nothing(plain: Artifact) -> None:
    images = pixels(2)
    strided = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    with OrtRunner(plain, RunnerSettings(threads=1)) as runner:
        assert runner.run(strided).tobytes() == runner.run(images).tobytes()


def test_a_runner_works_inside_its_block_only(plain: Artifact) -> None:
    runner = OrtRunner(plain, RunnerSettings(threads=1))
    with pytest.raises(RuntimeError, match="with"):
        runner.run(pixels(1))
    with runner:
        runner.run(pixels(1))
    with pytest.raises(RuntimeError, match="with"):
        runner.effective()
