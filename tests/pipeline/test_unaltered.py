"""The bytes that were checked are the bytes that are used: files are replaced between the check and what follows."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import save_file

from isobatch.models.shared.regular_files import Altered
from isobatch.models.spec.artifact_cache import ArtifactCache, require_intact, require_unaltered, unaltered
from isobatch.models.spec.words import Artifact, Manifest, Network
from isobatch.models.weights.digits.weights import fingerprint
from isobatch.models.weights.networks import read_torch_weights
from isobatch.pipeline.prepare import in_worker as worker
from isobatch.pipeline.prepare.crossing import TrialAsked
from tests.models.ort.small_onnx import classifier, pixels, stored


def other() -> onnx.ModelProto:
    """The same network with other weights."""
    model = classifier()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(2), tensor.name))
    return model


def heard(event: Any) -> None:
    """What a worker says, unheard."""


def weights_of(path: Path) -> list[bytes]:
    """The weights in an ONNX file."""
    return [numpy_helper.to_array(tensor).tobytes() for tensor in onnx.load_model(path).graph.initializer]


def built(checked: dict[str, Any], cache: Path, variant: str = "ort-fp32", **more: Any) -> Path:
    """The graph of the variant built of what was checked."""
    network = {
        "model": "net.onnx",
        "weights_path": "",
        "weights_sha256": checked["sha256"],
        "num_classes": 10,
        "onnx_path": checked["onnx_path"],
        "onnx_sha256": checked["onnx_sha256"],
        "size": (32, 32),
    }
    fields = {"variant": variant, "weights": checked["sha256"]}
    payload = {"variant": variant, "fields": fields, "network": network, "calibration": None, "cache": str(cache)}
    return Path(worker.build(payload | more, heard)["folder"]) / "model.onnx"


@pytest.fixture
def checked(tmp_path: Path) -> dict[str, Any]:
    """What the check says of ``net.onnx``, whose weights lie beside it."""
    save_external(classifier(), tmp_path)
    return worker.check_onnx({"onnx": str(tmp_path / "net.onnx"), "folder": str(tmp_path / "inputs")}, heard)


def save_external(model: onnx.ModelProto, folder: Path) -> None:
    (folder / "net.data").unlink(missing_ok=True)
    onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=16)


@pytest.mark.parametrize("what", ["net.onnx", "net.data"])
def test_a_file_replaced_after_its_check_is_not_what_is_built(
    tmp_path: Path, checked: dict[str, Any], what: str
) -> None:
    if what == "net.data":
        (tmp_path / what).write_bytes(bytes((tmp_path / what).stat().st_size))
    else:
        save_external(other(), tmp_path)
    onnx.save(classifier(), tmp_path / "as-checked.onnx")
    assert weights_of(built(checked, tmp_path / "cache")) == weights_of(tmp_path / "as-checked.onnx")


def test_the_kept_copy_replaced_after_the_check_is_refused(tmp_path: Path, checked: dict[str, Any]) -> None:
    onnx.save(other(), checked["onnx_path"])
    network = Network("net.onnx", "", checked["sha256"], 10, checked["onnx_path"], checked["onnx_sha256"])
    asked = TrialAsked(network, (stored(tmp_path, pixels(2)),), "auto")
    with pytest.raises(Altered, match="not the file that was checked"):
        worker.try_graph(asked.to_json(), heard)
    with pytest.raises(Altered, match="not the file that was checked"):
        built(checked, tmp_path / "artifacts")
    assert not list((tmp_path / "artifacts").glob("*/manifest.json"))


def test_a_damaged_copy_is_written_again_by_the_next_check(tmp_path: Path, checked: dict[str, Any]) -> None:
    Path(checked["onnx_path"]).write_bytes(b"damaged")
    again = worker.check_onnx({"onnx": str(tmp_path / "net.onnx"), "folder": str(tmp_path / "inputs")}, heard)
    assert again == checked
    assert built(again, tmp_path / "cache").is_file()


def test_calibration_images_replaced_before_the_build_are_refused(tmp_path: Path, checked: dict[str, Any]) -> None:
    images = stored(tmp_path, pixels(6, (32, 32)))
    Path(images.path).write_bytes(pixels(6, (32, 32), seed=1).tobytes())
    with pytest.raises(Altered, match="calibration were altered"):
        built(checked, tmp_path / "artifacts", "ort-int8", calibration=images.to_json())


def test_weights_replaced_after_their_check_are_refused(tmp_path: Path) -> None:
    first = {"a": np.ones(3, np.float32)}
    save_file(first, tmp_path / "weights.safetensors")
    network = Network("", str(tmp_path / "weights.safetensors"), fingerprint(first), 10)
    assert read_torch_weights(network)["a"].tolist() == [1, 1, 1]
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "weights.safetensors")
    with pytest.raises(Altered, match="not the file that was checked"):
        read_torch_weights(network)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    """An artifact of one file."""

    def made(folder: Path) -> Manifest:
        (folder / "model").write_bytes(b"bytes")
        return Manifest({}, 5)

    return ArtifactCache(tmp_path / "cache").get({"a": 1}, made)


@pytest.mark.parametrize("how", ["altered", "gone", "folder gone", "manifest gone"])
def test_an_artifact_that_goes_or_changes_while_it_runs_spoils_what_was_computed(artifact: Artifact, how: str) -> None:
    require_intact(artifact)
    with pytest.raises(Altered, match=r"[Rr]un again"), unaltered(artifact):
        if how == "altered":
            (artifact.folder / "model").write_bytes(b"other")
        elif how == "gone":
            (artifact.folder / "model").unlink()
            raise RuntimeError("no such file")  # what a library makes of it
        elif how == "manifest gone":
            (artifact.folder / "manifest.json").unlink()
        else:
            artifact.folder.rename(artifact.folder.with_name("elsewhere"))


def test_an_error_of_intact_files_stays_what_it_is(artifact: Artifact) -> None:
    with pytest.raises(ZeroDivisionError), unaltered(artifact):
        raise ZeroDivisionError


def test_images_that_change_while_they_are_measured_are_noticed(tmp_path: Path) -> None:
    images = stored(tmp_path, pixels(2))
    require_unaltered(images)
    Path(images.path).write_bytes(b"other")
    with pytest.raises(Altered, match="altered"):
        require_unaltered(images)
    Path(images.path).unlink()
    with pytest.raises(Altered, match="went away"):
        require_unaltered(images)
