import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from isobatch.pipeline.evidence.evidence import Evidence, Pass
from isobatch.pipeline.evidence.stored import read_evidence, write_evidence
from isobatch.pipeline.storage.files import StoreError, read_json, sweep, write_bytes, write_json

PASSES = (Pass("singles", 1, 0, 4), Pass("batched", 2, 0, 4))


def evidence(dtype: object) -> Evidence:
    singles = np.array([[1.5, -0.0], [np.nan, 2.0], [np.inf, -1.0], [3.0, 4.0]], dtype=dtype)
    changed = np.array([[1.5, 0.0]], dtype=dtype)
    return Evidence(
        variant="fp32",
        inputs="seed",
        round=1,
        passes=PASSES,
        rows={PASSES[0].id: (np.arange(4), singles), PASSES[1].id: (np.array([0]), changed)}.__getitem__,
        call_s={PASSES[0].id: (0.1, 0.2, 0.3, 0.4), PASSES[1].id: (0.5, 0.25)},
        effective={"precision": "fp32"},
        clips={"conv1": (1, 4)},
        peak_memory_bytes=7,
        readback={"torch": "AVX2"},
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int8])
def test_evidence_comes_back_bit_for_bit(tmp_path: Path, dtype: object) -> None:
    if dtype is np.int8:
        rows = {PASSES[0].id: (np.arange(4), np.zeros((4, 2), np.int8))}
        stored = replace(evidence(np.float32), passes=PASSES[:1], rows=rows.__getitem__)
    else:
        stored = evidence(dtype)
    write_evidence(tmp_path / "e", stored)
    read_back = read_evidence(tmp_path / "e")
    assert read_back.singles.dtype == stored.singles.dtype
    assert read_back.singles.tobytes() == stored.singles.tobytes()
    assert read_back.passes == stored.passes
    assert read_back.call_s == stored.call_s
    assert read_back.clips == stored.clips
    if len(stored.passes) > 1:
        assert read_back.outputs(PASSES[1]).tobytes() == stored.outputs(PASSES[1]).tobytes()
        assert read_back.outputs(PASSES[1]).tobytes() != stored.singles.tobytes()  # the zero's sign came back


def test_what_a_device_counted_comes_back_and_may_be_absent(tmp_path: Path) -> None:
    counted = {"allocated": 5, "reserved": 8}
    write_evidence(tmp_path / "e", replace(evidence(np.float32), device_memory=counted))
    assert read_evidence(tmp_path / "e").device_memory == counted
    write_evidence(tmp_path / "e", evidence(np.float32))
    assert read_evidence(tmp_path / "e").device_memory is None


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_damaged_evidence_is_named(tmp_path: Path, keep: int) -> None:
    write_evidence(tmp_path / "e", evidence(np.float32))
    whole = (tmp_path / "e").read_bytes()
    (tmp_path / "e").write_bytes(whole[:keep])
    with pytest.raises(StoreError, match="damaged"):
        read_evidence(tmp_path / "e")


def test_one_altered_byte_of_evidence_is_noticed(tmp_path: Path) -> None:
    write_evidence(tmp_path / "e", evidence(np.float32))
    whole = (tmp_path / "e").read_bytes()
    for place in range(len(whole)):
        (tmp_path / "e").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError, match="damaged"):
            read_evidence(tmp_path / "e")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_bytes(tmp_path / "f", [b"old"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_bytes(tmp_path / "f", [b"new"])
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "j", {"x": float("nan")})
    write_json(tmp_path / "j", {"x": 1})
    assert read_json(tmp_path / "j") == {"x": 1}
    (tmp_path / "j").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        read_json(tmp_path / "j")


@pytest.mark.parametrize("name", ["report.json", "x", "ü" * 90 + ".safetensors"])
def test_what_a_killed_writer_leaves_is_swept(tmp_path: Path, name: str) -> None:
    seen: list[str] = []

    def chunks() -> Iterator[bytes]:
        seen.extend(path.name for path in (tmp_path / "deep").iterdir())
        yield b"x"

    write_bytes(tmp_path / "deep" / name, chunks())
    (unfinished,) = seen
    (tmp_path / "deep" / unfinished).write_bytes(b"half")
    sweep(tmp_path)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name]
