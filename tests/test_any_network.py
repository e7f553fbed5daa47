"""Studies of ONNX files that are no classifiers of pictures, from the command line to the report."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from isobatch.pipeline.records.study import Study
from tests.in_process import Commands
from tests.models.ort import several
from tests.models.ort.small_onnx import build, classifier, pixels, request
from tests.models.ort.test_batch_axis import sequences
from tests.pipeline.inputs.helpers import pictures
from tests.waiting import ENDS_S


def tokens(folder: Path) -> list[str]:
    """Ids and a mask, in an .npz file."""
    onnx.save(several.tokens(), folder / "net.onnx")
    np.savez(folder / "given.npz", **several.given(12))  # type: ignore[arg-type]
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
        "--race-seconds", "0", "--certify", "off", "--quiet", "--out", str(out), *more,
    )  # fmt: skip
    assert ended.code in (0, 1, 3), ended.stderr
    return Study.model_validate_json((out / "report.json").read_text())


def told(study: Study, code: str) -> str:
    return "; ".join(warning.text for warning in study.warnings if warning.code == code)


def test_tokens_and_a_mask_are_fed_by_name_and_each_output_is_compared(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, tokens, "--variants", "ort-fp32")
    (variant,) = study.variants
    assert variant.verdict in ("batch-invariant", "top1-stable", "batch-variant")
    batched = [comparison for comparison in variant.comparisons if comparison.kind == "batch-vs-singles"]
    assert batched and all([leaf.name for leaf in one.outputs] in ([], ["pooled", "logits"]) for one in batched)
    assert "outcome: classes of 'logits'" in study.weights.note
    assert "--inputs FILE.npz with an array 'labels'" in told(study, "no-accuracy-limit")


def test_drawn_inputs_say_once_that_agreement_is_not_judged(tmp_path: Path, commands: Commands) -> None:
    def given(folder: Path) -> list[str]:
        onnx.save(several.tokens(), folder / "net.onnx")
        return []

    study = studied(commands, tmp_path, given, "--variants", "ort-fp32,ort-int8-dynamic")
    assert told(study, "no-agreement").startswith("Agreement with ort-fp32 is unknown, and --min-agreement is not")
    for argv in (("render", "run"), ("recommend", "run", "--min-agreement", "99")):
        shown = " ".join(commands(tmp_path, *argv).stdout.split())
        assert shown.count("--min-agreement is not applied") == 1 and "Agrees" not in shown, shown


def test_one_number_an_example_is_studied(tmp_path: Path, commands: Commands) -> None:
    def given(folder: Path) -> list[str]:
        ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node("Mul", ["x", "x"], ["y"])], "square", ends[:1], ends[1:])
        opset = helper.make_opsetid("", 17)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "net.onnx")
        return []

    study = studied(commands, tmp_path, given, "--variants", "ort-fp32")
    assert study.variants[0].verdict == "batch-invariant" and study.inputs[0].shape == []


def test_sigmoids_are_a_set_of_labels(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, labels, "--variants", "ort-fp32")
    assert "outcome: labels, above 0.5 (a sigmoid for each label)" in study.weights.note
    assert told(study, "no-accuracy-limit") == ""  # one class an image is no answer to compare with a set of labels


def test_pixels_taken_as_they_are_are_said_to_be_so(tmp_path: Path, commands: Commands) -> None:
    def given(folder: Path) -> list[str]:
        graph = classifier((None, 3, 24, 32)).graph
        feeding = [
            helper.make_node("Cast", ["pixels"], ["cast"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Transpose", ["cast"], [graph.input[0].name], perm=[0, 3, 1, 2]),
        ]
        takes = helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["n", 24, 32, 3])
        whole = helper.make_graph([*feeding, *graph.node], "raw", [takes], list(graph.output), list(graph.initializer))
        opset = helper.make_opsetid("", 17)
        onnx.save(helper.make_model(whole, opset_imports=[opset], ir_version=8), folder / "net.onnx")
        pictures(folder / "given", *(f"{number}.png" for number in range(9)))
        return ["--inputs", str(folder / "given")]

    study = studied(commands, tmp_path, given, "--variants", "ort-fp32")
    assumed = told(study, "assumed-preprocessing")
    assert "pixels 0 to 255, not normalised" in assumed and "with --resize, --crop" in assumed and "mean" not in assumed


def test_a_fixed_batch_is_studied_at_other_sizes(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, fixed, "--variants", "ort-fp32")
    assert study.variants[0].verdict is not None and "its batch was fixed at 1" in study.weights.note


def test_a_quantized_file_is_studied_as_it_is_and_the_rest_is_one_line(tmp_path: Path, commands: Commands) -> None:
    study = studied(commands, tmp_path, quantized)
    (variant,) = study.variants
    assert (variant.name, variant.precision) == ("ort-fp32", "int8 as given")
    (left_out,) = [warning.text for warning in study.warnings if warning.code == "as-given"]
    assert "ort-int8-dynamic" in left_out


@pytest.mark.parametrize("kind", ["clases", "top1"])
def test_an_unknown_outcome_is_refused_with_the_nearest(tmp_path: Path, commands: Commands, kind: str) -> None:
    fixed(tmp_path)
    ended = commands(tmp_path, "--onnx", "net.onnx", "--outcome", kind)
    assert ended.code == 2 and "There are auto, classes, binary, labels, embedding and raw" in ended.stderr


def test_what_several_inputs_are_shipped_with_runs_and_is_verified(tmp_path: Path, commands: Commands) -> None:
    """Dynamic int8 couples the images: it is explained, repaired, shipped, and run in a folder of its own."""
    given = tokens(tmp_path)
    ended = commands(
        tmp_path, "--onnx", "net.onnx", *given, "--variants", "ort-fp32,ort-int8-dynamic", "--batch-sizes", "2,4",
        "--images", "8", "--race-seconds", "0", "--certify", "2-4", "--quiet", "--out", "run",
    )  # fmt: skip
    assert ended.code in (0, 1), ended.stderr
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    dynamic = next(variant for variant in study.variants if variant.name == "ort-int8-dynamic")
    assert dynamic.origins is not None and all(
        "could not be made" not in c.evidence for o in dynamic.origins for c in o.causes
    )
    for name in ("ort-fp32", "ort-int8-dynamic"):
        out = f"shipped-{name}"
        ended = commands(tmp_path, "deploy", "run", "--variant", name, "--out", out, "--quiet")
        assert ended.code == 0, ended.stderr
        record = json.loads((tmp_path / out / "record.json").read_text())
        assert [stored["name"] for stored in record["serving"]["inputs"]] == ["ids", "mask"]
        assert record["serving"]["preprocessing"] is None and record["inputs"][0]["file"] == "images.npz"
        checked = commands(tmp_path, "verify", out)
        assert checked.code == 0 and "FAILS" not in checked.stdout, checked.stdout
    repaired = commands(
        tmp_path, "repair", "--onnx", "net.onnx", *given, "--variant", "ort-int8-dynamic", "--batch-sizes", "2,3",
        "--threads", "1", "--out", "repaired", "--quiet",
    )  # fmt: skip
    assert repaired.code == 0, repaired.stderr
    assert commands(tmp_path, "verify", "repaired").code == 0


def test_a_batch_on_another_axis_is_studied_and_shipped_with_the_batch_in_front(
    tmp_path: Path, commands: Commands
) -> None:
    def given(folder: Path) -> list[str]:
        sequences(folder / "net.onnx")
        np.save(folder / "given.npy", np.moveaxis(pixels(8)[:, 0, :4, :3], 0, 1))
        return ["--inputs", str(folder / "given.npy"), "--batch-axis", "x=1,all=2"]

    study = studied(commands, tmp_path, given, "--variants", "ort-fp32")
    assert study.variants[0].verdict == "batch-invariant" and "axis 1 of 'x'" in study.weights.note
    assert study.config["batch_axes"] == [["x", 1], ["all", 2]]
    shipped = commands(tmp_path, "deploy", "run", "--out", "shipped", "--variant", "ort-fp32")
    assert shipped.code == 0, shipped.stderr
    assert "in the file that this was made from it is axis 1" in (tmp_path / "shipped" / "MODEL_CARD.md").read_text()
    assert commands(tmp_path, "verify", "shipped").code == 0
    for file, code, said in (("shipped/images.npy", 0, ""), ("given.npy", 2, "give numpy.moveaxis(x, 1, 0)")):
        command = [sys.executable, "shipped/infer.py", file]
        ended = subprocess.run(command, cwd=tmp_path, timeout=ENDS_S, check=False, capture_output=True, text=True)
        assert ended.returncode == code and said in ended.stderr, ended.stderr
