"""Evidence on disk: written whole, read row by row."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, astuple
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.evidence.evidence import Evidence, Pass, bits
from isobatch.pipeline.records.errors import StoreError as StoreError  # with the functions that raise it
from isobatch.pipeline.storage.files import write_bytes


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
        "machine": evidence.machine,
        "whole": evidence.whole,
        "warm_up_s": list(evidence.warm_up_s),
    }
    if evidence.clip_seen is not None:
        facts["clip_seen"] = dict(evidence.clip_seen)
    if evidence.outcome != CLASSES:
        facts["outcome"] = evidence.outcome.to_json()
    if evidence.device_memory is not None:
        facts["device_memory"] = dict(evidence.device_memory)
    text = json.dumps(facts, allow_nan=False)
    write_bytes(path, [save(arrays, {"evidence": text, "sha256": _digest(text, sorted(arrays.items()))})])


def _digest(text: str, arrays: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """The SHA-256 of everything in an evidence file: the format itself would not notice one altered bit."""
    digest = hashlib.sha256(text.encode())
    for name, array in arrays:
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class _StoredRows(Mapping[str, tuple[NDArray[np.int64], NDArray[Any]]]):
    """The differing rows of an evidence file by pass, read anew each time they are asked for."""

    def __init__(self, path: Path, kind: np.dtype[Any], names: Iterable[str]) -> None:
        self._path, self._kind = path, kind
        self._passes = [name.removesuffix("/index") for name in names if name.endswith("/index")]

    def __getitem__(self, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
        if name not in self._passes:
            raise KeyError(name)
        return _tensor(self._path, f"{name}/index"), _tensor(self._path, f"{name}/values").view(self._kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._passes)

    def __len__(self) -> int:
        return len(self._passes)


class StoredEvidence(Evidence):
    """Evidence whose rows stay on disk: the evidence of a whole study is held at once, its rows never are."""

    def __init__(self, path: Path, kind: np.dtype[Any], **fields: Any) -> None:
        known = {
            field.name: field.default is MISSING for field in dataclass_fields(Evidence) if field.name != "singles"
        }
        needed = {name for name, required in known.items() if required}
        if wrong := (fields.keys() - known.keys()) | (needed - fields.keys()):
            raise TypeError(f"its facts are not those of evidence: {', '.join(sorted(wrong))}")
        for name, value in {"_path": path, "_kind": kind, **fields}.items():
            object.__setattr__(self, name, value)  # the record is frozen

    @property
    def singles(self) -> NDArray[Any]:
        """The singles rows [n, classes], read anew."""
        return _tensor(self._path, "singles").view(self._kind)  # type: ignore[attr-defined]


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
        facts = {"machine": "", "whole": "", "warm_up_s": ()} | json.loads(stored["evidence"])  # absent in older files
        kind = np.dtype(getattr(ml_dtypes, facts["dtype"], facts["dtype"]))
        if "singles" not in names:
            raise ValueError("it holds no singles")
        return StoredEvidence(
            path=path,
            kind=kind,
            rows=_StoredRows(path, kind, names),
            passes=tuple(Pass(*fields) for fields in facts.pop("passes")),
            call_s={name: tuple(seconds) for name, seconds in facts.pop("call_s").items()},
            warm_up_s=tuple(facts.pop("warm_up_s")),
            outcome=Outcome.of(facts.pop("outcome", None) or {}),
            **{name: value for name, value in facts.items() if name != "dtype"},
        )
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path} is damaged: {error}. Delete it and run again") from error
