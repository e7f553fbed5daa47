import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import isobatch.models.weights.networks
from isobatch.models.ort import export as onnx_export
from isobatch.models.ort import export_own
from isobatch.models.ort.as_torch import answers_of, difference, difference_on_images
from isobatch.models.ort.check_user_file import check_onnx
from isobatch.models.ort.export import exported
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest
from isobatch.models.spec.words import Artifact, Network, VariantUnavailable
from tests.models.ort.small_onnx import CLASSES, build, classifier, pixels, request
from tests.waiting import ENDS_S


class Residual(nn.Module):
    """Convolution and batch normalisation, a skip connection, a pool over any size, a classifier."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, CLASSES)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.norm(self.stem(images)))
        logits: Tensor = self.fc(self.pool(features + self.body(features)).flatten(1))
        return logits


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BuildRequest, Artifact]]:
    network = Network("residual", "", "0" * 64, CLASSES)
    cache = ArtifactCache(tmp_path_factory.mktemp("cache"))
    made_of = BuildRequest(network, None, cache, say=lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isobatch.models.weights.networks, "float_network", lambda network: Residual())
        yield made_of, exported(made_of)


@pytest.mark.parametrize(("count", "size"), [(1, (64, 64)), (3, (64, 64)), (2, (96, 70)), (5, (33, 80))])
def test_any_batch_height_and_width_agree_with_torch(
    export: tuple[BuildRequest, Artifact], count: int, size: tuple[int, int]
) -> None:
    _, artifact = export
    images = pixels(count, size)
    logits = open_session(artifact.folder / MODEL_FILE, 1).run(None, {"images": images})[0]
    with torch.inference_mode():
        expected = Residual()(torch.from_numpy(images)).numpy()
    assert logits.shape == (count, CLASSES)
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


def test_one_export_serves_all(export: tuple[BuildRequest, Artifact], monkeypatch: pytest.MonkeyPatch) -> None:
    made_of, artifact = export
    monkeypatch.setattr(onnx_export, "_export", lambda *_: pytest.fail("exported twice"))
    assert exported(made_of) == artifact


def test_the_file_passes_the_check_for_files_from_outside(export: tuple[BuildRequest, Artifact]) -> None:
    checked = check_onnx(export[1].folder / MODEL_FILE)
    assert (checked.height, checked.width) == (None, None)


def test_layers_have_torch_names_and_no_path_of_this_machine_is_inside(
    export: tuple[BuildRequest, Artifact],
) -> None:
    _, artifact = export
    content = (artifact.folder / MODEL_FILE).read_bytes()
    weighted = {name for name, layer in Residual().named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    nodes = [node.name for node in onnx.load_model_from_string(content).graph.node]
    assert weighted <= set(nodes) and len(set(nodes)) == len(nodes)
    assert b"site-packages" not in content and str(Path.home()).encode() not in content


def test_another_networks_graph_is_told_apart(export: tuple[BuildRequest, Artifact]) -> None:
    path = export[1].folder / MODEL_FILE
    assert difference_on_images(path, Residual(), (64, 48)) < onnx_export._TOLERANCE / 10
    assert difference_on_images(path, Residual(seed=1), (64, 48)) > 10 * onnx_export._TOLERANCE


class Bound(nn.Module):
    """A network whose classifier fits one image size, 224 x 224, only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 32, stride=32)
        self.fc = nn.Linear(2 * 7 * 7, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv(images).flatten(1))
        return logits


def test_a_network_bound_to_one_size_keeps_its_batch_axis_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(isobatch.models.weights.networks, "float_network", lambda network: Bound().eval())
    artifact = exported(
        BuildRequest(Network("bound", "", "0" * 64, CLASSES), None, ArtifactCache(tmp_path), say=lambda line: None)
    )
    assert capfd.readouterr() == ("", "")
    assert artifact.manifest.recipe["free_axes"] == ["n"]
    assert artifact.manifest.notes == ("the ONNX graph takes images of 224 x 224 only",)
    session = open_session(artifact.folder / MODEL_FILE, 1)
    assert session.run(None, {"images": pixels(3, (224, 224))})[0].shape == (3, CLASSES)


class Amplifying(Residual):
    """Logits in which the last bits of the features are large."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.sin(1e5 * super().forward(images))


def test_a_network_that_amplifies_its_own_rounding_is_measured_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isobatch.models.weights.networks, "float_network", lambda network: Amplifying())
    network = Network("amplifying", "", "0" * 64, CLASSES)
    artifact = exported(BuildRequest(network, None, ArtifactCache(tmp_path), say=lambda line: None))
    worst = artifact.manifest.recipe["worst_difference"]
    assert isinstance(worst, float) and onnx_export._TOLERANCE < worst < onnx_export._MOST
    assert artifact.manifest.recipe["free_axes"] == ["n", "height", "width"]
    assert "amplifies rounding" in artifact.manifest.notes[0]


class Chaotic(Residual):
    """Logits that are nothing but rounding."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.sin(1e9 * super().forward(images))


def test_where_rounding_is_all_the_remedy_is_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isobatch.models.weights.networks, "float_network", lambda network: Chaotic())
    network = Network("chaotic", "", "0" * 64, CLASSES)
    with pytest.raises(onnx_export.ExportError, match=r"amplifies rounding, as .* do: .*give trained weights"):
        exported(BuildRequest(network, None, ArtifactCache(tmp_path), say=lambda line: None))


def test_a_file_of_the_user_is_used_as_it_is(tmp_path: Path) -> None:
    model = classifier()
    artifact = exported(request(tmp_path, model))
    assert onnx.load_model(artifact.folder / MODEL_FILE) == model


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    model = classifier()
    for tensor in model.graph.initializer:
        model.graph.input.insert(0, onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    model.ir_version = 3
    images = pixels(2)
    plain = open_session(classifier().SerializeToString(), 1).run(None, {"images": images})[0]
    for name in ("ort-fp32", "ort-fp16", "ort-int8"):
        artifact = build(name, request(tmp_path, model, calibration=images), tmp_path)
        logits = open_session(artifact.folder / MODEL_FILE, 1).run(None, {"images": images})[0]
        np.testing.assert_allclose(logits, plain, atol=0.1 * np.abs(plain).max())


def test_another_file_of_the_same_name_is_another_artifact(tmp_path: Path) -> None:
    first = exported(request(tmp_path, classifier()))
    second = exported(request(tmp_path, classifier(activation="Clip")))
    assert first.key != second.key


def quantized_already(folder: Path) -> onnx.ModelProto:
    artifact = build("ort-int8", request(folder, classifier(), calibration=pixels(2)), folder)
    return onnx.load_model(artifact.folder / MODEL_FILE)


@pytest.mark.parametrize("name", ["ort-fp16", "ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"])
def test_what_needs_a_float_graph_says_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    again = request(tmp_path, quantized_already(tmp_path / "first"), calibration=pixels(2))
    with pytest.raises(VariantUnavailable, match=f"quantized already .*, and {name} is made from") as raised:
        build(name, again, tmp_path)
    assert "float32 file" in raised.value.remedy
    assert build("ort-fp32", again, tmp_path).manifest.recipe["as_given"] == "int8"


@pytest.mark.parametrize("name", ["ort-int8", "ort-int8-dynamic"])
@pytest.mark.parametrize("opset", [9, 12])
def test_an_old_opset_is_raised_for_the_quantizers(name: str, opset: int, tmp_path: Path) -> None:
    model = classifier()
    model.opset_import[0].version, model.ir_version = opset, 7
    made_of = request(tmp_path, model, calibration=pixels(2))
    manifest = build(name, made_of, tmp_path).manifest
    assert any(f"raised from opset {opset} to 17" in note for note in manifest.notes)


@pytest.mark.parametrize("name", ["ort-int8", "ort-int8-qoperator", "ort-int8-dynamic"])
def test_a_graph_without_anything_to_quantize_has_no_int8_variant(name: str, tmp_path: Path) -> None:
    places = [onnx.helper.make_tensor_value_info(place, onnx.TensorProto.FLOAT, ["n", 3, 24, 32]) for place in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Sqrt", ["x"], ["y"])], "roots", places[:1], places[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(VariantUnavailable, match=f"{name} would be the float graph again"):
        build(name, request(tmp_path, model, abs(pixels(4))), tmp_path)


def test_calibration_says_on_how_many_images_it_rests(tmp_path: Path) -> None:
    manifest = build("ort-int8", request(tmp_path, classifier(), calibration=pixels(2)), tmp_path).manifest
    assert any("scales rest on 2 calibration images" in note and "32 or more" in note for note in manifest.notes)


def test_what_makes_the_outputs_of_probabilities_stays_in_float(tmp_path: Path) -> None:
    model = classifier()
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["raw"], ["logits"], "squash"))
    artifact = build("ort-int8", request(tmp_path, model, calibration=pixels(4)), tmp_path)
    built = onnx.load_model(artifact.folder / MODEL_FILE)
    assert next(node for node in built.graph.node if "logits" in node.output).op_type == "Sigmoid"


@pytest.mark.parametrize("both", [False, True])
def test_an_export_without_an_end_is_ended_and_fixed_sizes_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    real, said = onnx_export._trace, list[str]()

    def endless(net: nn.Module, axes: dict[int, str], size: tuple[int, int], channels: int = 3) -> onnx.ModelProto:
        while both or len(axes) > 1:
            sum(range(100))
        return real(net, axes, size, channels)

    monkeypatch.setattr(isobatch.models.weights.networks, "float_network", lambda network: Residual())
    monkeypatch.setattr(onnx_export, "_trace", endless)
    monkeypatch.setattr(onnx_export, "_LIMITS_S", (0.1, 0.1 if both else 300.0))
    made_of = BuildRequest(
        Network("residual", "", "0" * 64, CLASSES, size=(64, 48)), None, ArtifactCache(tmp_path), said.append
    )
    if both:
        with pytest.raises(onnx_export.ExportError, match=r"at 64 x 48 only: not done after 0\.1 s of computing"):
            exported(made_of)
    else:
        assert exported(made_of).manifest.notes == ("the ONNX graph takes images of 64 x 48 only",)
    assert said[1:3] == [
        "with free height and width, for at most 0.1 s of computing",
        "with free height and width: failed (with free height and width: not done after 0.1 s of computing)",
    ]


def test_a_graph_bound_to_one_size_serves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, traced = onnx_export._trace, list[int]()

    def bound(net: nn.Module, axes: dict[int, str], size: tuple[int, int], channels: int = 3) -> onnx.ModelProto:
        traced.append(len(axes))
        if len(axes) > 1:
            raise onnx_export.OnnxError("its height is a number in the graph")
        return real(net, axes, size, channels)

    monkeypatch.setattr(isobatch.models.weights.networks, "float_network", lambda network: Residual())
    monkeypatch.setattr(onnx_export, "_trace", bound)
    for size in ((32, 32), (48, 40), (32, 32), (48, 40)):
        network = Network("residual", "", "0" * 64, CLASSES, size=size)
        artifact = exported(BuildRequest(network, None, ArtifactCache(tmp_path), say=lambda line: None))
        images = pixels(2, size)
        rows = open_session(artifact.folder / MODEL_FILE, 1).run(None, {"images": images})[0]
        assert rows.shape == (2, CLASSES) and artifact.manifest.recipe["size"] == [*size]
    assert traced == [3, 1, 1]


def test_a_graph_that_gives_nan_differs_by_nan(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Sqrt", ["x"], ["y"])
    places = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "root", places[:1], places[1:])
    file = tmp_path / "root.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), file)
    rows = np.array([[4.0], [-1.0]], np.float32)
    for given, exact, apart in ((rows, [[2.0], [1.0]], np.nan), (abs(rows), [[2.0], [2.0]], 0.5)):
        answers = answers_of(file, {"x": given})
        np.testing.assert_equal(difference(answers, [np.array(exact, np.float32)]), apart)


def test_running_a_graph_imports_no_torch() -> None:
    code = "import sys, isobatch.models.ort.runner; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], timeout=ENDS_S).returncode == 0


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_network_of_arrays_is_refused_in_words(frozen: bool, tmp_path: Path) -> None:
    net = torch.jit.script(nn.Sequential(nn.Linear(4, 2), nn.ReLU()).eval())
    net = torch.jit.freeze(net) if frozen else net
    with pytest.raises(onnx_export.ExportError, match=r"TorchScript module.*check nets:make --inputs FILE"):
        export_own._export("nets:make", net, {"x": np.zeros((2, 4), np.float32)}, tmp_path / "net.onnx")
