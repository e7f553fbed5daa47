"""Studies of ONNX files that are no classifiers of pictures, from the command line to the report."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobatch.pipeline.records.study import Study
from tests.in_process import Commands
from tests.models.ort.small_onnx import build, classifier, pixels, request

DRAWS = np.random.default_rng(3)


def tokens(folder: Path) -> list[str]:
    """Ids and mask in; the mean of the embeddings of what the mask leaves, and its logits, out."""
    constants = {
        "table": DRAWS.standard_normal((50, 8)).astype(np.float32),
        "head": DRAWS.standard_normal((8, 5)).astype(np.float32),
        "last": np.array([-1], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "one"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 6]),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, ["n", 6]),
        ],
        [
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", 8]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "net.onnx")
    arrays = {"ids": DRAWS.integers(0, 50, (12, 6)), "mask": DRAWS.integers(0, 2, (12, 6)).astype(bool)}
    np.savez(folder / "given.npz", **arrays)
    return ["--inputs", str(folder / "given.npz")]


def labels(folder: Path) -> list[str]:
    model = classifier(("n", 3, 24, 32))
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(helper.make_node("Sigmoid", ["raw"], ["logits"], "squash"))
    onnx.save(model, folder / "net.onnx")
    np.save(folder / "given.npy", pixels(12))
    return ["--inputs", str(folder / "given.npy")]


def fixed(folder: Path) -> list[str]:
    onnx.save(classifier((1, 3, 24, 32)), folder / "net.onnx")
    np.save(folder / "given.npy", pixels(12))
    return ["--inputs", str(folder / "given.npy")]


def quantized(folder: Path) -> list[str]:
    (folder / "made").mkdir()
    artifact = build("ort-int8", request(folder / "made", classifier(), calibration=pixels(4)), folder / "made")
    onnx.save(onnx.load_model(artifact.folder / "model.onnx"), folder / "net.onnx")
    np.save(folder / "given.npy", pixels(12))
    return ["--inputs", str(folder / "given.npy")]


def studied(commands: Commands, folder: Path, make: Callable[[Path], list[str]], *more: str) -> Study:
    given = make(folder)
    out = folder / "run"
    ended = commands(
        folder, "--onnx", "net.onnx", *given, "--batch-sizes", "2,4", "--images", "8", "--no-explain",
        "--race-seconds", "1", "--quiet", "--out", str(out), *more, XDG_CACHE_HOME=str(folder / "cache"),
    )  # fmt: skip
    assert ended.code in (0, 1, 3), ended.stderr
    return Study.model_validate_json((out / "report.json").read_text())


def test_tokens_and_a_mask_are_fed_by_name_and_each_output_is_compared(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, tokens, "--variants", "ort-fp32")
    (variant,) = study.variants
    assert variant.verdict in ("batch-invariant", "top1-stable", "batch-variant")
    batched = [one for one in variant.comparisons if one.kind == "batch-vs-singles"]
    assert batched and all([leaf.name for leaf in one.outputs] in ([], ["pooled", "logits"]) for one in batched)
    assert "outcome: classes of 'logits'" in study.weights.note


def test_sigmoids_are_a_set_of_labels(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, labels, "--variants", "ort-fp32")
    assert "outcome: labels, above 0.5 (a sigmoid for each label)" in study.weights.note


def test_a_fixed_batch_is_studied_at_other_sizes(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, fixed, "--variants", "ort-fp32")
    assert study.variants[0].verdict is not None and "its batch was fixed at 1" in study.weights.note


def test_a_quantized_file_is_studied_as_it_is_and_the_rest_is_one_line(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, quantized)
    (variant,) = study.variants
    assert (variant.name, variant.precision) == ("ort-fp32", "int8 as given")
    (told,) = [one.text for one in study.warnings if one.code == "as-given"]
    assert "ort-int8-dynamic" in told


@pytest.mark.parametrize("kind", ["clases", "top1"])
def test_an_unknown_outcome_is_refused_with_the_nearest(tmp_path: Path, commands: Commands, kind: str) -> None:
    fixed(tmp_path)
    ended = commands(tmp_path, "--onnx", "net.onnx", "--outcome", kind)
    assert ended.code == 2 and "There are auto, classes, binary, labels, embedding and raw" in ended.stderr
