"""``repair`` and ``verify`` as a user meets them, on a small ONNX file that is quantized dynamically."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.commands import find_command
from tests.in_process import Commands
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


def test_a_repaired_artifact_is_verified_and_a_changed_weight_is_noticed(folder: Path, commands: Commands) -> None:
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
    told = commands(folder, *command)
    assert told.code == 0, told.stderr
    assert told.stdout.startswith("ort-int8-dynamic is batch-invariant at N = 1 to 6 on 1 thread, by per-sample-scale.")
    assert "peak memory of a serving process" in told.stdout and "Price, over the native network" in told.stdout
    assert "per-sample-scale: verifying on" in told.stderr and "model.onnx in a fresh process" in told.stderr
    assert "looking at every layer" not in told.stderr, "this rung does not ask where the difference starts"
    record = json.loads((folder / "repaired" / "record.json").read_text())
    assert sorted({output["batch_size"] for output in record["outputs"]}) == [1, 2, 3, 4, 5, 6]
    assert record["variant"] == "ort-int8-dynamic+per-sample-scale" and record["repair"]["singles_as_native"] is True
    assert {"latency_ratio", "throughput_ratio"} <= record["repair"].keys()
    assert commands(folder, "verify", "repaired/record.json").code == 0
    assert commands(folder, *command).code == 2, "the folder is not empty now"

    model = onnx.load_model(folder / "repaired" / "model.onnx")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "fc.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(1), bias.name))
    onnx.save(model, folder / "repaired" / "model.onnx")
    refused = commands(folder, "verify", "repaired")
    assert refused.code == 1 and "FAILS: model.onnx is the file that was verified" in refused.stdout
    trusted = commands(folder, "verify", "repaired", "--trust")
    assert trusted.code == 1
    assert "holds: batch-invariant" in trusted.stdout and "FAILS: the recorded outputs" in trusted.stdout


def test_the_image_size_has_one_name_and_a_near_one_is_answered_with_it() -> None:
    parser = find_command("repair").parser()
    assert parser.parse_args(["--variant", "fp32", "--image-size", "64,48"]).image_size == "64,48"
    with pytest.raises(UsageError, match="did you mean --image-size"):
        parser.parse_args(["--variant", "fp32", "--image-sizes", "64,48"])


def test_a_network_that_mixes_images_is_refused_for_that_and_not_for_what_it_is_written_to(
    folder: Path, commands: Commands
) -> None:
    onnx.save(GRAPHS["mean square"].model, folder / "mixing.onnx")
    np.save(folder / "eights.npy", pixels(4, size=(8, 8)))
    command = ["repair", "--variant", "ort-fp32", "--onnx", "mixing.onnx", "--inputs", "eights.npy", "--threads", "1"]
    ended = commands(folder, *command, "--batch-sizes", "2-3", "--out", "none")
    said = ended.stderr
    assert ended.code == 1, said
    assert "ort-fp32 cannot be made batch-invariant. neighbour-leak: the network itself mixes images" in said
    assert "cannot be shipped" not in said and "check names the layer" in said
    ended = commands(folder, *command, "--batch-sizes", "8", "--out", "none")
    assert ended.code == 2 and "has 4" in ended.stderr


def test_code_of_the_users_own_is_refused_before_rungs_are_tried(tmp_path: Path, commands: Commands) -> None:
    """What a repair of it would write cannot be shipped: minutes of trying would end in nothing."""
    (tmp_path / "plain.py").write_text(
        "from torch import nn\n\nmake = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 5)).eval()\n"
    )
    np.save(tmp_path / "images.npy", pixels(4, size=(32, 32)))
    given = ["--model", "plain:make", "--inputs", "images.npy", "--image-size", "32", "--batch-sizes", "2-3"]
    ended = commands(tmp_path, "repair", "--variant", "fp32", *given, "--out", "none")
    said = ended.stderr
    assert ended.code == 2, said
    assert "looking at every layer" not in said and not (tmp_path / "none").exists()
    assert "error [not-deployable]: fp32 runs code that is the user's own" in said
    assert "isobatch.make_batch_invariant" in said
