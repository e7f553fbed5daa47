"""The only writer to disk: every file appears whole, by temporary file, fsync and rename."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipeline.errors import StoreError as StoreError  # with the functions that raise it
from pipeline.evidence import Evidence, Pass, bits


def write_bytes(path: Path, chunks: Iterable[bytes]) -> str:
    """Write the chunks to ``path`` so that it appears whole or not at all. Returns the SHA-256 of its bytes, in hex.

    Raises StoreError (no space, no permission, not a folder), leaving what stood there before.
    """
    digest = hashlib.sha256()
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}-", dir=path.parent)
        os.fchmod(descriptor, 0o666 & ~_umask())
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. "
            "Free space and run again, or choose another place with --out"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write JSON-ready values, strictly: NaN and infinities are refused (ValueError), never written as null."""
    write_bytes(path, [json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()])


def read_json(path: Path) -> Any:
    """The JSON value of a file. Raises StoreError with the reason when it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}. Delete it and run again") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Store one job's evidence as safetensors: arrays as unsigned bits (numpy has no bfloat16), the rest as JSON."""
    arrays: dict[str, NDArray[Any]] = {"singles": bits(evidence.singles)}
    for name, (index, values) in evidence.rows.items():
        arrays[f"{name}/index"] = index
        arrays[f"{name}/values"] = bits(values)
    facts = {
        "variant": evidence.variant,
        "inputs": evidence.inputs,
        "round": evidence.round,
        "dtype": evidence.singles.dtype.name,
        "passes": [astuple(p) for p in evidence.passes],
        "call_s": {name: list(seconds) for name, seconds in evidence.call_s.items()},
        "effective": dict(evidence.effective),
        "clip_shares": None if evidence.clip_shares is None else dict(evidence.clip_shares),
        "peak_memory_bytes": evidence.peak_memory_bytes,
        "readback": dict(evidence.readback),
    }
    text = json.dumps(facts, allow_nan=False)
    write_bytes(path, [save(arrays, {"evidence": text, "sha256": _digest(text, arrays)})])


def _digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """The SHA-256 of everything in an evidence file: the format itself would not notice one altered bit."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def read_evidence(path: Path) -> Evidence:
    """The evidence in a file. Raises StoreError when it is missing, altered, cut short or not evidence."""
    try:
        with safe_open(path, framework="numpy") as file:
            stored = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if stored["sha256"] != _digest(stored["evidence"], arrays):
            raise ValueError("its bytes are not those that were written")
        facts = json.loads(stored["evidence"])
        kind = np.dtype(getattr(ml_dtypes, facts["dtype"], facts["dtype"]))
        rows = {
            name.removesuffix("/index"): (index, arrays[name.removesuffix("index") + "values"].view(kind))
            for name, index in arrays.items()
            if name.endswith("/index")
        }
        return Evidence(
            singles=arrays["singles"].view(kind),
            passes=tuple(Pass(*fields) for fields in facts.pop("passes")),
            rows=rows,
            call_s={name: tuple(seconds) for name, seconds in facts.pop("call_s").items()},
            **{name: value for name, value in facts.items() if name != "dtype"},
        )
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path} is damaged: {error}. Delete it and run again") from error
