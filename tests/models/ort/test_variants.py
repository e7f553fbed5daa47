import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from isobatch.models.ort.clipping import WATCHED_FILE
from isobatch.models.ort.graph import weight_layers
from isobatch.models.ort.session import MODEL_FILE
from isobatch.models.registry import all_variants, find_variant, load
from isobatch.models.spec.runner import Quantized, Runner
from isobatch.models.spec.words import Artifact, RunnerSettings
from tests.models.ort.small_onnx import CLASSES, LAYERS, build, classifier, pixels, request

NAMES = ["ort-fp32", "ort-fp16", "ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"]
SETTINGS = RunnerSettings(threads=1)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("variants")
    made_of = request(folder, classifier(), calibration=pixels(16))
    return {name: build(name, made_of, folder) for name in NAMES}


def opened(name: str, artifact: Artifact, settings: RunnerSettings = SETTINGS) -> Runner:
    runner: Runner = load(find_variant(name).open)(artifact, settings)
    return runner


def test_the_table_holds_these_variants() -> None:
    assert [row.name for row in all_variants() if row.runtime == "onnxruntime"] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_height_and_width_runs(artifacts: dict[str, Artifact], name: str) -> None:
    with opened(name, artifacts[name]) as runner:
        for count, size in ((1, (24, 32)), (5, (24, 32)), (2, (40, 17))):
            logits = runner.run(pixels(count, size))
            assert logits.shape == (count, CLASSES) and np.isfinite(logits).all()
            assert logits.dtype == (np.float16 if name == "ort-fp16" else np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_opening_again_gives_the_same_bytes(artifacts: dict[str, Artifact], name: str) -> None:
    images = pixels(3)
    outputs = []
    for _ in range(2):
        with opened(name, artifacts[name]) as runner:
            outputs += [runner.run(images).tobytes(), runner.run(images).tobytes()]
    assert len(set(outputs)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_building_again_gives_the_same_file(artifacts: dict[str, Artifact], name: str, tmp_path: Path) -> None:
    again = build(name, request(tmp_path, classifier(), calibration=pixels(16)), tmp_path)
    content = (artifacts[name].folder / MODEL_FILE).read_bytes()
    assert (again.folder / MODEL_FILE).read_bytes() == content
    assert again.manifest == artifacts[name].manifest
    assert again.manifest.size_bytes == len(content)


@pytest.mark.parametrize(("name", "least_db"), [("ort-fp16", 50), ("ort-int8", 25), ("ort-int8-dynamic", 20)])
def test_logits_stay_near_those_of_fp32(artifacts: dict[str, Artifact], name: str, least_db: float) -> None:
    images = pixels(16, seed=1)
    with opened("ort-fp32", artifacts["ort-fp32"]) as runner:
        reference = runner.run(images).astype(np.float64)
    with opened(name, artifacts[name]) as runner:
        noise = runner.run(images).astype(np.float64) - reference
    assert 10 * np.log10(np.square(reference).sum() / np.square(noise).sum()) > least_db


def test_both_static_formats_hold_the_same_weights(artifacts: dict[str, Artifact]) -> None:
    first, second = (
        {
            tensor.name: numpy_helper.to_array(tensor).tobytes()
            for tensor in onnx.load_model(artifacts[name].folder / MODEL_FILE).graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
        }
        for name in ("ort-int8", "ort-int8-qoperator")
    )
    assert len(first) == LAYERS and first == second


@pytest.mark.parametrize("name", ["ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"])
def test_an_int8_recipe_says_what_was_done(artifacts: dict[str, Artifact], name: str) -> None:
    manifest = artifacts[name].manifest
    recipe = manifest.recipe
    stored = [layer.stored for layer in weight_layers(onnx.load_model(artifacts[name].folder / MODEL_FILE))]
    assert stored == ["int8"] * LAYERS
    assert {"observer", "format", "weights", "activations", "reduce_range", "logits"} <= recipe.keys()
    for part in ("weights", "activations"):
        assert recipe[part].keys() == {"type", "granularity", "symmetric"}


def test_logits_that_leave_a_quantization_are_said_to(tmp_path: Path) -> None:
    model = classifier()
    del model.graph.node[-1]  # without the linear layer the pooled features are what comes out
    model.graph.node[-1].output[0] = "logits"
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    built = build("ort-int8", request(tmp_path, model, calibration=pixels(4)), tmp_path)
    with opened("ort-int8", built) as runner:
        few = len(np.unique(runner.run(pixels(64, seed=1)))) <= 256
    assert few and built.manifest.recipe["logits"] == "uint8"


def test_a_static_recipe_is_true_of_the_file(artifacts: dict[str, Artifact]) -> None:
    artifact = artifacts["ort-int8"]
    tensors = {tensor.name: tensor for tensor in onnx.load_model(artifact.folder / MODEL_FILE).graph.initializer}
    assert tensors["b.weight_quantized"].data_type == onnx.TensorProto.INT8
    assert list(tensors["b.weight_scale"].dims) == [8]  # one per output channel
    assert not numpy_helper.to_array(tensors["b.weight_zero_point"]).any()
    assert tensors["images_zero_point"].data_type == onnx.TensorProto.UINT8
    assert artifact.manifest.recipe["images"] == 16
    largest = np.abs(numpy_helper.to_array(tensors["b.weight_quantized"]).astype(int)).max()
    assert artifact.manifest.recipe["logits"] == "float32"
    assert largest == (64 if artifact.manifest.recipe["reduce_range"] else 127)


def test_reduce_range_leaves_a_bit_of_the_weights_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "isobatch.models.ort.build.saturating_operators", lambda: frozenset({"QLinearConv", "ConvInteger"})
    )
    made_of = request(tmp_path, classifier(), calibration=pixels(4))
    for name, kind, limit in (
        ("ort-int8", onnx.TensorProto.INT8, 64),
        ("ort-int8-qoperator", onnx.TensorProto.INT8, 64),
        ("ort-int8-dynamic", onnx.TensorProto.UINT8, 127),
    ):
        artifact = build(name, made_of, tmp_path)
        weights = [
            numpy_helper.to_array(tensor)
            for tensor in onnx.load_model(artifact.folder / MODEL_FILE).graph.initializer
            if tensor.data_type == kind and len(tensor.dims) > 1
        ]
        assert len(weights) == LAYERS and max(np.abs(weight.astype(int)).max() for weight in weights) <= limit
        assert artifact.manifest.recipe["reduce_range"] is True


def test_nothing_is_written_outside_the_given_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, scratch = tmp_path / "here", tmp_path / "scratch"
    for folder in (here, scratch):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    made_of = request(tmp_path, classifier(), calibration=pixels(2))
    for name in NAMES:
        artifact = build(name, made_of, tmp_path)
        with opened(name, artifact) as runner:
            runner.effective()
    assert list(here.iterdir()) == list(scratch.iterdir()) == []


def test_the_libraries_say_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    made_of = request(tmp_path, classifier(), calibration=pixels(2))
    for name in NAMES:
        with opened(name, build(name, made_of, tmp_path)) as runner:
            runner.run(pixels(1))
            runner.effective()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_only_the_deployed_graph_counts_as_size(artifacts: dict[str, Artifact]) -> None:
    folder = artifacts["ort-int8"].folder
    assert {path.name for path in folder.iterdir()} == {MODEL_FILE, WATCHED_FILE}
    assert artifacts["ort-int8"].manifest.size_bytes == (folder / MODEL_FILE).stat().st_size


def test_weights_that_fp16_cannot_hold_are_counted(tmp_path: Path) -> None:
    model = classifier()
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "b.weight")
    values = numpy_helper.to_array(weight).copy()
    values.ravel()[:5] = [1e-9, -2e-8, 0.0, 1e5, -7e4]
    weight.CopyFrom(numpy_helper.from_array(values, "b.weight"))
    notes = build("ort-fp16", request(tmp_path, model), tmp_path).manifest.notes
    assert [note.split(" ", 1)[0] for note in notes] == ["2", "2"]
    assert "raised" in notes[0] and "cut" in notes[1]


@pytest.mark.parametrize("name", NAMES)
def test_only_static_variants_can_be_watched(artifacts: dict[str, Artifact], name: str) -> None:
    with opened(name, artifacts[name]) as runner:
        assert isinstance(runner, Quantized) == find_variant(name).calibrated
        if isinstance(runner, Quantized):
            assert set(runner.clip_counts(pixels(2))) >= {"images", "a", "b", "c"}


@pytest.mark.parametrize(
    ("name", "stored", "computed"),
    [("ort-fp16", "fp16", "fp16"), ("ort-int8", "int8", "fp32"), ("ort-fp32", "fp32", "fp32")],
)
def test_the_stored_and_the_computed_type_are_read_apart(
    artifacts: dict[str, Artifact], name: str, stored: str, computed: str
) -> None:
    layers = weight_layers(
        onnx.load_model(artifacts[name].folder / MODEL_FILE)
    )  # not optimised: QDQ computes in floats
    assert [(layer.name, layer.stored, layer.computed) for layer in layers] == [
        (layer, stored, computed) for layer in ("a", "b", "c", "fc")
    ]
