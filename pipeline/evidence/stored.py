"""Evidence on disk: written whole, read row by row."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.plain import to_plain
from isobatch.pipeline.evidence.evidence import Evidence, IndexedRows, Pass, bits
from isobatch.pipeline.records.errors import StoreError
from isobatch.pipeline.storage.files import write_bytes


def write_evidence(path: Path, evidence: Evidence) -> None:
    """Store one job's evidence as safetensors: arrays as unsigned bits (numpy has no bfloat16), the rest as JSON."""
    arrays: dict[str, NDArray[Any]] = {"singles": bits(evidence.singles)}
    for chosen in evidence.passes:
        if chosen.kind != "singles":
            index, values = evidence.rows(chosen.id)
            arrays |= {f"{chosen.id}/index": index, f"{chosen.id}/values": bits(values)}
    kept = [field.name for field in fields(Evidence) if field.name != "rows"]
    facts = {name: to_plain(getattr(evidence, name)) for name in kept} | {
        "dtype": evidence.singles.dtype.name,
        "passes": [astuple(chosen) for chosen in evidence.passes],
    }
    text = json.dumps(facts, allow_nan=False)
    write_bytes(path, [save(arrays, {"evidence": text, "sha256": _digest(text, sorted(arrays.items()))})])


def _digest(text: str, arrays: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """The SHA-256 of everything in an evidence file: the format itself would not notice one altered bit."""
    digest = hashlib.sha256(text.encode())
    for name, array in arrays:
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _tensor(path: Path, name: str) -> NDArray[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            values: NDArray[Any] = file.get_tensor(name)
            return values
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} went away or was altered while it was read: {error}. Run again") from error


def read_evidence(path: Path) -> Evidence:
    """The evidence in a file, its rows left on disk. Raises StoreError: missing, altered, cut short or not evidence."""
    try:
        with safe_open(path, framework="numpy") as file:
            stored, names = file.metadata() or {}, sorted(file.keys())
            if stored["sha256"] != _digest(stored["evidence"], ((name, file.get_tensor(name)) for name in names)):
                raise ValueError("its bytes are not those that were written")
        facts = json.loads(stored["evidence"])
        kind = np.dtype(getattr(ml_dtypes, facts["dtype"], facts["dtype"]))
        passes = tuple(Pass(*chosen) for chosen in facts.pop("passes"))
        (alone,) = (p.id for p in passes if p.kind == "singles")
        if "singles" not in names:
            raise ValueError("it holds no singles")

        def rows_of(name: str) -> IndexedRows:
            if name == alone:
                singles = _tensor(path, "singles").view(kind)
                return np.arange(len(singles)), singles
            return _tensor(path, f"{name}/index"), _tensor(path, f"{name}/values").view(kind)

        return Evidence(
            rows=rows_of,
            passes=passes,
            call_s={name: tuple(seconds) for name, seconds in facts.pop("call_s").items()},
            warm_up_s=tuple(facts.pop("warm_up_s")),
            clips=None
            if (clips := facts.pop("clips")) is None
            else {name: (lost, of) for name, (lost, of) in clips.items()},
            outcome=Outcome.of(facts.pop("outcome")),
            **{name: value for name, value in facts.items() if name != "dtype"},
        )
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path} is damaged: {error}. Delete it and run again") from error
