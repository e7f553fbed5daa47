"""``repair`` and ``verify`` as a user meets them, on a small ONNX file that is quantized dynamically."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import run
from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.commands import find_command
from tests.models.ort.mixing_onnx import GRAPHS
from tests.models.ort.small_onnx import classifier, pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder, with what ``repair`` wrote in ``repaired``."""
    home = tmp_path_factory.mktemp("user")
    onnx.save(classifier(), home / "small.onnx")
    np.save(
        home / "images.npy", pixels(12, size=(32, 32)) * np.linspace(0.5, 3, 12, dtype=np.float32).reshape(12, 1, 1, 1)
    )
    return home


def test_a_repaired_artifact_is_verified_and_a_changed_weight_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    command = ["repair", "--variant", "ort-int8-dynamic", "--onnx", "small.onnx", "--inputs", "images.npy"]
    command += [
        "--rung",
        "per-sample-scale",
        "--image-size",
        "32",
        "--batch-sizes",
        "1-6",
        "--threads",
        "1",
        "--out",
        "repaired",
    ]
    assert run.main(command) == 0
    told = capsys.readouterr()
    assert told.out.startswith("ort-int8-dynamic is batch-invariant at N = 1 to 6 on 1 thread, by per-sample-scale.")
    assert "peak memory of a serving process" in told.out and "Price, over the native network" in told.out
    assert "per-sample-scale: verifying on" in told.err and "model.onnx in a fresh process" in told.err
    assert "looking at every layer" not in told.err, "this rung does not ask where the difference starts"
    record = json.loads((folder / "repaired" / "record.json").read_text())
    assert sorted({one["batch_size"] for one in record["outputs"]}) == [1, 2, 3, 4, 5, 6]
    assert record["variant"] == "ort-int8-dynamic+per-sample-scale" and record["repair"]["singles_as_native"] is True
    assert {"latency_ratio", "throughput_ratio"} <= record["repair"].keys()
    assert run.main(["verify", "repaired/record.json"]) == 0
    assert run.main(command) == 2, "the folder is not empty now"

    model = onnx.load_model(folder / "repaired" / "model.onnx")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "fc.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(1), bias.name))
    onnx.save(model, folder / "repaired" / "model.onnx")
    capsys.readouterr()
    assert run.main(["verify", "repaired"]) == 1
    assert "FAILS: model.onnx is the file that was verified" in capsys.readouterr().out
    assert run.main(["verify", "repaired", "--trust"]) == 1
    said = capsys.readouterr().out
    assert "holds: batch-invariant" in said and "FAILS: the recorded outputs" in said


def test_the_image_size_has_one_name_and_a_near_one_is_answered_with_it() -> None:
    parser = find_command("repair").parser()
    assert parser.parse_args(["--variant", "fp32", "--image-size", "64,48"]).image_size == "64,48"
    with pytest.raises(UsageError, match="did you mean --image-size"):
        parser.parse_args(["--variant", "fp32", "--image-sizes", "64,48"])


def test_a_network_that_mixes_images_is_refused_for_that_and_not_for_what_it_is_written_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    onnx.save(GRAPHS["mean square"].model, "mixing.onnx")
    np.save("eights.npy", pixels(4, size=(8, 8)))
    command = ["repair", "--variant", "ort-fp32", "--onnx", "mixing.onnx", "--inputs", "eights.npy", "--threads", "1"]
    assert run.main([*command, "--batch-sizes", "2-3", "--out", "none"]) == 1
    said = capsys.readouterr().err
    assert "ort-fp32 cannot be made batch-invariant. neighbour-leak: the network itself mixes images" in said
    assert "cannot be shipped" not in said and "check names the layer" in said
    assert run.main([*command, "--batch-sizes", "8", "--out", "none"]) == 2
    assert "has 4" in capsys.readouterr().err
