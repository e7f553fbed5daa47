"""``check FILE.onnx`` of any inputs, drawn and the user's own, and where the batch is another axis."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobatch.models.ort.interface import where_recurrent_nodes_say
from tests.in_process import Commands
from tests.models.ort import several
from tests.models.ort.test_batch_axis import sequences

SMALL = ["--batch-sizes", "2,3", "--threads", "1"]


@pytest.mark.parametrize("own", [True, False])
def test_tokens_and_a_mask(commands: Commands, tmp_path: Path, own: bool) -> None:
    onnx.save(several.tokens(), tmp_path / "net.onnx")
    np.savez(tmp_path / "given.npz", **several.given(4))  # type: ignore[arg-type]
    ended = commands(tmp_path, "check", "net.onnx", *SMALL, *(["--inputs", "given.npz"] if own else []))
    assert ended.code in (0, 1), ended.stderr
    assert "of ids int64 [6] and mask bool [6]" in " ".join(ended.stdout.split())


def test_a_static_variant_takes_its_scales_from_what_the_inputs_may_hold(commands: Commands, tmp_path: Path) -> None:
    onnx.save(several.tokens(), tmp_path / "net.onnx")
    ended = commands(tmp_path, "check", "net.onnx", *SMALL, "--variants", "ort-int8", XDG_CACHE_HOME=str(tmp_path))
    assert ended.code in (0, 1), ended.stdout + ended.stderr
    many = commands(
        tmp_path, "check", "net.onnx", *SMALL, "--variants", "ort-int8-dynamic", XDG_CACHE_HOME=str(tmp_path)
    )
    assert many.code == 1 and "other examples" in many.stdout, many.stdout
    assert "the size of the batch, or" not in many.stdout  # its scales are the batch's: the neighbours matter


def test_the_batch_on_another_axis(commands: Commands, tmp_path: Path) -> None:
    sequences(tmp_path / "net.onnx")
    without = commands(tmp_path, "check", "net.onnx", *SMALL, "--input-shape", "4x3")
    assert without.code in (1, 3)
    ended = commands(tmp_path, "check", "net.onnx", *SMALL, "--batch-axis", "x=1,all=2")
    assert ended.code == 0, ended.stdout + ended.stderr
    assert "turned to the front" in ended.stdout and "--batch-axis x=1,all=2 --variants all" in ended.stdout
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32))
    own = commands(tmp_path, "check", "net.onnx", *SMALL, "--batch-axis", "x=1,all=2", "--inputs", "x.npy")
    assert own.code == 0 and "3 examples of x.npy of float32 [4, 3]" in " ".join(own.stdout.split()), own.stdout
    unknown = commands(tmp_path, "check", "net.onnx", "--batch-axis", "y=1")
    assert unknown.code == 2 and "did you mean" in unknown.stderr


def recurrent(path: Path, batch: str | int | None) -> Path:
    """A GRU over [time, batch, 3] that gives every state, [time, batch, 2]."""
    draws = np.random.default_rng(0)
    stored = [draws.standard_normal(shape, np.float32) for shape in ((1, 6, 3), (1, 6, 2))]
    weights = [numpy_helper.from_array(values, name) for values, name in zip(stored, "wr", strict=True)]
    nodes = [
        helper.make_node("GRU", ["x", "w", "r"], ["states"], "gru", hidden_size=2),
        helper.make_node("Squeeze", ["states", "one"], ["y"]),
    ]
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["t", batch, 3])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["t", batch, 2])
    weights.append(numpy_helper.from_array(np.array([1]), "one"))
    graph = helper.make_graph(nodes, "recurrent", [taken], [given], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("batch", ["n", None])
def test_the_remedy_of_a_batch_that_is_read_as_time_names_every_array(
    commands: Commands, tmp_path: Path, batch: str | None
) -> None:
    recurrent(tmp_path / "net.onnx", batch)
    mixing = commands(tmp_path, "check", "net.onnx", *SMALL, "--input-shape", "4x3")
    assert mixing.code == 1 and "reads the batch's axis as time" in mixing.stdout, mixing.stdout + mixing.stderr
    assert "--batch-axis x=1,y=1;" in mixing.stdout
    mended = commands(tmp_path, "check", "net.onnx", *SMALL, "--input-shape", "4x3", "--batch-axis", "x=1,y=1")
    assert mended.code in (0, 1) and "as time" not in mended.stdout, mended.stdout + mended.stderr


def test_no_axis_is_named_that_is_no_batch(tmp_path: Path) -> None:
    assert where_recurrent_nodes_say(onnx.load(recurrent(tmp_path / "net.onnx", 4))) == ""
    assert where_recurrent_nodes_say(onnx.load(sequences(tmp_path / "other.onnx"))) == ""


@pytest.mark.parametrize(("text", "said"), [("x", "is no NAME=K"), ("x=one", "not a whole number"), ("x=9", "above 7")])
def test_what_is_no_axis_is_refused(commands: Commands, tmp_path: Path, text: str, said: str) -> None:
    sequences(tmp_path / "net.onnx")
    ended = commands(tmp_path, "check", "net.onnx", "--batch-axis", text)
    assert ended.code == 2 and said in ended.stderr


def test_a_torch_network_has_its_batch_first(commands: Commands, tmp_path: Path) -> None:
    ended = commands(tmp_path, "check", "resnet18", "--batch-axis", "x=1")
    assert ended.code == 2 and "movedim" in ended.stderr
