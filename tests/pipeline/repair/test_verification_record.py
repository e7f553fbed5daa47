"""A record from outside, and an artifact run again in a process without this project."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from isobatch.pipeline.decide.deployment import serve_script
from isobatch.pipeline.machine.environment import read_environment
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.repair.verification_record import (
    Claim,
    Output,
    ServedArtifact,
    StoredInputs,
    VerificationRecord,
    check,
    holding,
    read_record,
    run_served,
    sha256_of,
)

IMAGES = np.random.default_rng(0).standard_normal((4, 3, 4, 4), np.float32)
WEIGHT = np.random.default_rng(1).standard_normal((48, 5), np.float32)


def graph(weight: Any, leak: bool = False) -> bytes:
    """The maximum over each image's products with a matrix; ``leak``: less the batch's maximum."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "last"], ["rows"]),
        helper.make_node("Mul", ["rows", "weight"], ["products"]),
        helper.make_node("ReduceMax", ["products", "axis"], ["logits" if not leak else "own"], keepdims=0),
    ]
    if leak:
        nodes += [
            helper.make_node("ReduceMax", ["own", "batch"], ["most"], keepdims=1),
            helper.make_node("Sub", ["own", "most"], ["logits"]),
        ]
    constants = {"weight": weight, "last": np.array([2]), "axis": np.array([1]), "batch": np.array([0])}
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "network.onnx").write_bytes(graph(WEIGHT))
    np.save(tmp_path / "images.npy", IMAGES)
    artifact = ServedArtifact(
        file="network.onnx", sha256=sha256_of(tmp_path / "network.onnx"), size_bytes=1, runtime="onnxruntime"
    )
    told: list[int] = []
    served = run_served(artifact, tmp_path, "images.npy", 1, [2, 3], told.append)
    assert told == [1, 2, 3] and len({text for one in served.values() for text in one.sums}) == 1
    assert [len(one.sums) for one in served.values()] == [1, 2, 2]
    assert all(one.peak_bytes > 1e6 for one in served.values())
    record = VerificationRecord(
        created_utc="2026-01-01T00:00:00Z",
        variant="ort-fp32",
        model="small",
        weights_sha256="0" * 64,
        artifact=artifact,
        inputs=[StoredInputs(name="drawn", file="images.npy", sha256=sha256_of(tmp_path / "images.npy"), n=4)],
        batch_sizes=[1, 2, 3],
        outputs=[Output(inputs="drawn", threads=1, sha256=served[1].plain)],
        n_comparisons=6,
        repair=Repair(name="native", batch_invariant=True, scope="4 images"),
        environment=read_environment(1, {}, {}),
    )
    (tmp_path / "record.json").write_text(record.model_dump_json())
    return tmp_path


def claims(folder: Path, hashes: bool = True) -> list[Claim]:
    return list(check(read_record(folder), folder, hashes, lambda text: None))


def test_a_record_holds_where_it_was_made(folder: Path) -> None:
    found = claims(folder)
    assert holding(found) and len(found) == 4
    assert found[-1].found == "no output changed"
    assert not holding([])


def test_a_changed_weight_is_noticed_by_the_hash_and_without_it_by_the_outputs(folder: Path) -> None:
    changed = WEIGHT.copy()
    changed[np.unravel_index(np.abs(IMAGES[0].ravel()[:, None] * WEIGHT).argmax(), WEIGHT.shape)] *= 4
    (folder / "network.onnx").write_bytes(graph(changed))
    assert [one.holds for one in claims(folder)] == [False, True]  # and nothing was run
    assert [one.holds for one in claims(folder, hashes=False)] == [True, False]


def test_without_the_hash_a_change_that_moves_no_output_is_said_to_be_none(folder: Path) -> None:
    model = onnx.load_from_string(graph(WEIGHT))
    model.doc_string = "another file, the same numbers"
    (folder / "network.onnx").write_bytes(model.SerializeToString())
    assert not holding(claims(folder))
    assert [one.found for one in claims(folder, hashes=False)][-1] == "no output changed"


def test_an_artifact_that_depends_on_the_batch_fails_its_claim(folder: Path) -> None:
    (folder / "network.onnx").write_bytes(graph(WEIGHT, leak=True))
    first = claims(folder, hashes=False)[0]
    assert not first.holds and first.found == "differs at N = 2, 3"


def test_an_artifact_that_does_not_load_fails_its_claim(folder: Path) -> None:
    (folder / "network.onnx").write_bytes(b"no graph")
    (found,) = claims(folder, hashes=False)
    assert not found.holds and found.found.startswith("a fresh process could not run it: ")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda record: record["artifact"].update(file="../network.onnx"), "artifact.file: String should match"),
        (lambda record: record["artifact"].update(file="/etc/passwd"), "artifact.file: String should match"),
        (lambda record: record["artifact"].update(engine='x"; import os'), "artifact.engine: String should match"),
        (lambda record: record["inputs"][0].update(file="elsewhere.npy"), "no such plain file beside it"),
        (lambda record: record.update(batch_sizes=[]), "batch_sizes: List should have at least 1"),
        (lambda record: record.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda record: record.update(schema_version=2), "schema_version"),
        (lambda record: record["outputs"][0].update(inputs="others"), "has outputs of 'others', and no such images"),
    ],
)
def test_a_record_from_outside_is_not_believed(folder: Path, change: Any, text: str) -> None:
    record = json.loads((folder / "record.json").read_text())
    change(record)
    (folder / "record.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=text):
        claims(folder)


def test_a_link_is_no_file_of_the_record(folder: Path) -> None:
    (folder / "images.npy").rename(folder / "other.npy")
    (folder / "images.npy").symlink_to(folder / "other.npy")
    with pytest.raises(UsageError, match="no such plain file"):
        read_record(folder)


def test_the_script_that_is_shipped_is_the_one_that_was_verified(folder: Path) -> None:
    shipped = serve_script("onnxruntime", 1, 1, "x86", True, None)
    compile(shipped, "serve.py", "exec")
    assert "__file__).with_name('network.onnx')" in shipped
    assert "import pipeline" not in shipped
    streamed = serve_script("torch", 1, 2, "fbgemm", True, "/x/network.pt")
    compile(streamed, "serve.py", "exec")
    assert "STREAMS = 2" in streamed and "engine = 'fbgemm'" in streamed
