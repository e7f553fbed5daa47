"""The same study on a real cluster of two nodes, one of them killed in the middle: the same evidence."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.processes.engines.ray_cluster import unlike
from isobatch.pipeline.processes.engines.ray_node import Shipped, moved
from isobatch.pipeline.storage.files import StoreError
from tests.waiting import ENDS_S, until

ROOT = Path(__file__).resolve().parents[4]
STUDY = (
    *("--model", "resnet18", "--weights", "random", "--inputs", "photos", "--image-size", "32", "--images", "4"),
    *("--batch-sizes", "2,4", "--threads", "1", "--variants", "fp32,ort-int8", "--no-explain"),
    *("--race-seconds", "0", "--certify", "off"),
)


def study(home: Path, out: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), *STUDY, "--out", out, *argv]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=ENDS_S)


def evidence(folder: Path) -> dict[str, Any]:
    """All that must be the same wherever it was gathered: every row of every pass, by file."""
    by_file = {}
    for file in sorted(folder.glob("evidence/*/*.safetensors")):
        evidence_read = read_evidence(file)
        rows = {p.id: evidence_read.outputs(p).tobytes() for p in evidence_read.passes}
        by_file[f"{file.parent.name}/{file.name}"] = (evidence_read.machine, evidence_read.singles.dtype, rows)
    return by_file


@contextmanager
def cluster() -> Iterator[tuple[Any, Any]]:
    """A head, a node like it (the second value) and one unlike it, of one processor each, which ask for a token."""
    before = dict(os.environ)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(token, RAY_USAGE_STATS_ENABLED="0")  # before Ray is imported, which reads the mode once
    from ray.cluster_utils import Cluster  # type: ignore[import-not-found, unused-ignore]

    ray_cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        mortal = ray_cluster.add_node(num_cpus=1)
        ray_cluster.add_node(num_cpus=1, env_vars={"MKL_CBWR": "COMPATIBLE"})  # other bits: no machine of this study
        yield ray_cluster, mortal
    finally:
        ray_cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.extras
def test_a_cluster_that_loses_a_node_gives_the_evidence_of_one_machine(tmp_path: Path) -> None:
    here = study(tmp_path, "here")
    assert here.returncode in (0, 1), here.stderr
    with cluster() as (three, mortal):
        command = [sys.executable, str(ROOT / "run.py"), *STUDY, "--out", "there", "--engine", "ray"]
        running = subprocess.Popen(
            [*command, "--ray-address", three.address], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        until(lambda: list(tmp_path.glob("there/evidence/*/*.safetensors")), running)
        assert running.poll() is None
        three.remove_node(mortal, allow_graceful=False)
        _, said = running.communicate(timeout=ENDS_S)
    assert running.returncode == here.returncode, said.decode()
    warnings = json.loads((tmp_path / "there" / "report.json").read_text())["warnings"]
    (warned,) = (warning["text"] for warning in warnings if warning["code"] == "other-machine")
    assert "MKL_CBWR=COMPATIBLE there" in warned
    expected = evidence(tmp_path / "here")
    assert len(expected) == 2 * 2
    assert evidence(tmp_path / "there") == expected


@pytest.mark.extras
def test_a_cluster_of_its_own_and_one_that_is_not_there(tmp_path: Path) -> None:
    assert study(tmp_path, "own", "--engine", "ray").returncode in (0, 1)
    ended = study(tmp_path, "none", "--engine", "ray", "--ray-address", "127.0.0.1:1")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error [ray-cluster]: no Ray cluster at 127.0.0.1:1: ")
    assert not (tmp_path / "none").exists()


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = "raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')\n"
    (tmp_path / "ray.py").write_text(absent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ended = study(tmp_path, "none", "--engine", "ray", "--quiet")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("error [ray-missing]: ")
    assert "pip install -c requirements.txt -r requirements-ray.txt" in ended.stderr
    assert not (tmp_path / "none").exists()


def test_files_are_read_in_place_where_they_are_the_same_and_copied_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    token = secrets.token_hex(16)
    stored: dict[int, bytes] = {}

    def put(content: bytes) -> int:
        stored[len(stored)] = content
        return len(stored) - 1

    file, folder = tmp_path / "images", tmp_path / "artifact"
    (folder / "inside").mkdir(parents=True)
    for path, content in ((file, b"pixels"), (folder / "weights", b"1"), (folder / "inside" / "graph", b"2")):
        path.write_bytes(content)
    sent = [Shipped.of(path, secrets.token_hex(32), put) for path in (file, folder)]
    assert [shipped.here(stored.__getitem__, token) for shipped in sent] == [str(file), str(folder)]
    file.write_bytes(b"others")
    (folder / "weights").unlink()
    image, artifact = (Path(shipped.here(stored.__getitem__, token)) for shipped in sent)
    assert image.read_bytes() == b"pixels"
    assert {str(file.relative_to(artifact)): file.read_bytes() for file in artifact.rglob("*") if file.is_file()} == {
        "weights": b"1",
        "inside/graph": b"2",
    }
    payload = {"images": {"path": str(file), "n": 3}, "files": [str(folder)]}
    assert moved(payload, {str(file): "/there/a"}) == {"images": {"path": "/there/a", "n": 3}, "files": [str(folder)]}


def test_a_file_of_the_same_size_and_time_is_not_taken_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored: dict[int, bytes] = {}
    file, token = tmp_path / "images", secrets.token_hex(16)
    file.write_bytes(b"pixels")
    sent = Shipped.of(file, "0" * 64, lambda content: stored.setdefault(0, content) and 0)
    assert sent.here(stored.__getitem__, token) == str(file)
    before = file.stat()
    file.write_bytes(b"forged")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    copied = Path(sent.here(stored.__getitem__, token))
    assert copied != file
    assert copied.read_bytes() == b"pixels"
    assert copied.parent.stat().st_mode & 0o077 == 0


def test_what_arrives_as_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "images").write_bytes(b"pixels")
    sent = Shipped.of(tmp_path / "images", "1" * 64, lambda content: 0)
    (tmp_path / "images").unlink()
    with pytest.raises(StoreError, match="did not arrive"):
        sent.here(lambda reference: b"forged", secrets.token_hex(16))


def test_two_machines_are_told_apart_in_words() -> None:
    here, there = "Model A; avx2-fma; torch 2.13.0, numpy 2.4.6", "Model A; avx2-fma-avx512f; torch 2.13.0, numpy 2.4.6"
    assert unlike(here, there) == "avx2-fma-avx512f there, avx2-fma here"
    assert unlike(here, f"{here}, scipy 1.17.1") == "scipy 1.17.1 there, nothing more here"
