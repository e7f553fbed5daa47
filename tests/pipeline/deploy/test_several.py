"""What is shipped of networks that take other things than pictures: the loader's arrays by name, and its refusals."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from isobatch.models.ort.calls import call
from isobatch.models.spec.batches import batch_of
from isobatch.models.spec.deployed import code_files
from isobatch.models.spec.images import Field, Images
from isobatch.pipeline.deploy.folder import filled, model_files, serving, store_images
from isobatch.pipeline.deploy.record import Serving
from isobatch.pipeline.deploy.serve import Files, run_served
from tests.models.ort import several
from tests.pipeline.deploy.small import VIEW
from tests.waiting import ENDS_S

FIELDS = [Field("ids", "int64", (several.LENGTH,)), Field("mask", "bool", (several.LENGTH,))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as it is shipped, with its examples."""
    (tmp_path / "model.onnx").write_bytes(several.tokens().SerializeToString())
    store_images(batch_of(several.given(5)), "tokens", tmp_path / "images.npy")
    for name, data in code_files("onnxruntime").items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "settings.json").write_bytes(settings().text())
    return tmp_path


def settings(**more: Any) -> Serving:
    images = Images("tokens", "", "arrays", (1, several.LENGTH), "", fields=tuple(FIELDS))
    return serving("onnxruntime", {"optimise": True}, 1, 2, 2, images, VIEW, **more)


def infer(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "infer.py"), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=ENDS_S)


def direct(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = ort.InferenceSession(folder / "model.onnx").run(None, dict(arrays))
    return found


def test_the_loader_answers_by_name_in_calls_that_were_verified(folder: Path) -> None:
    ended = infer(folder, "images.npz", "--out", "outputs.npz")
    assert ended.returncode == 0, ended.stderr
    assert "pooled: float32 [5, 8]" in ended.stdout and "logits: float32 [5, 5]" in ended.stdout
    outputs, arrays = np.load(folder / "outputs.npz"), several.given(5)
    parts = [direct(folder, {name: value[at : at + 2] for name, value in arrays.items()}) for at in (0, 2, 4)]
    for place, name in enumerate(("pooled", "logits")):
        assert outputs[name].tobytes() == np.concatenate([part[place] for part in parts]).tobytes()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"ids": several.given(3)["ids"]}, "give a dict of arrays by name: 'ids' int64 [n, 6], 'mask' bool [n, 6]"),
        ({**several.given(3), "ids": np.zeros((3, 6), np.float32)}, "an array float32 [3, 6]: give 'ids' int64"),
        ({**several.given(3), "ids": np.zeros((3, 6, 1), np.int64)}, "an array int64 [3, 6, 1]"),
        ({**several.given(3), "ids": np.zeros((2, 6), np.int64)}, "arrays of different lengths"),
    ],
)
def test_other_arrays_are_refused_in_a_line(folder: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(folder / "other.npz", **arrays)
    ended = infer(folder, "other.npz")
    assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr


def test_pictures_are_refused_where_none_are_taken(folder: Path) -> None:
    ended = infer(folder, "cat.jpg")
    assert ended.returncode == 2 and "this network takes no pictures: give 'ids' int64 [n, 6]" in ended.stderr


def test_a_fresh_process_gives_the_sums_of_the_rows_that_a_study_keeps(folder: Path) -> None:
    files = Files(settings(), model_files(folder))
    served = run_served(files, folder / "images.npz", 1, [2, 3])
    session = ort.InferenceSession(folder / "model.onnx")
    batch = batch_of(several.given(5))
    alone = np.concatenate([call(session, batch[i : i + 1]) for i in range(5)])
    import hashlib

    assert served[1].plain == hashlib.sha256(alone.tobytes()).hexdigest() and served[2].rotated is not None


def test_pixels_are_handed_over_as_the_network_takes_them(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    namespace: dict[str, Any] = {"__name__": "infer", "__file__": str(tmp_path / "infer.py")}
    exec(compile(code_files("onnxruntime")["infer.py"], "infer.py", "exec"), namespace)
    network = object.__new__(namespace["Network"])
    for fed, channels in (("NHWC uint8", 3), ("NHWC float16", 3), ("NCHW uint8", 1)):
        images = Images("folder", "", "uint8", (1, channels, 8, 6), "", fed=fed)
        shown = serving("onnxruntime", {}, 1, 2, 2, images, VIEW)
        network.settings = shown.model_dump(mode="json")
        made = network.prepared([tmp_path / "a.png"])
        layout, kind = fed.split()
        assert (made.dtype, made.shape) == (
            np.dtype(kind),
            (1, 8, 6, channels) if layout == "NHWC" else (1, channels, 8, 6),
        )
        if fed == "NHWC uint8":
            assert (made[0] == pixels).all()
        assert json.loads(shown.text())["inputs"] == []


def test_a_batch_is_filled_with_values_that_each_input_may_have() -> None:
    batch = batch_of({**several.given(3), "x": np.full((3, 2), 1.5, np.float16)})
    rows, lacking = filled(batch, 8, seed=1)
    assert lacking == 5 and len(rows) == 8 and rows.dtype == batch.dtype and (rows[:3] == batch).all()
    for place in range(several.LENGTH):
        assert set(rows["ids"][:, place]) <= set(batch["ids"][:, place])
    assert len({row.tobytes() for row in rows}) == 8 and np.isfinite(rows["x"].astype(np.float32)).all()
    same, none = filled(batch, 2, seed=1)
    assert none == 0 and (same == batch).all()
