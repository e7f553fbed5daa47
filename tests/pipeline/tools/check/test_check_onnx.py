"""``check FILE.onnx`` of any inputs, drawn and the user's own, and where the batch is another axis."""

from pathlib import Path

import numpy as np
import onnx
import pytest

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


@pytest.mark.parametrize(("text", "said"), [("x", "is no NAME=K"), ("x=one", "not a whole number"), ("x=9", "above 7")])
def test_what_is_no_axis_is_refused(commands: Commands, tmp_path: Path, text: str, said: str) -> None:
    sequences(tmp_path / "net.onnx")
    ended = commands(tmp_path, "check", "net.onnx", "--batch-axis", text)
    assert ended.code == 2 and said in ended.stderr


def test_a_torch_network_has_its_batch_first(commands: Commands, tmp_path: Path) -> None:
    ended = commands(tmp_path, "check", "resnet18", "--batch-axis", "x=1")
    assert ended.code == 2 and "movedim" in ended.stderr
