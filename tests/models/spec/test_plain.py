"""Dataclasses to plain values and back, by way of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from isobatch.models.spec.images import Field, Images
from isobatch.models.spec.plain import from_plain, to_plain
from isobatch.models.spec.words import Artifact, CudaOptions, Manifest, Remark, RunnerSettings


@dataclass(frozen=True)
class Everything:
    artifact: Artifact
    images: tuple[Images, ...]
    settings: RunnerSettings
    by_name: Mapping[str, Field]
    pairs: tuple[tuple[int, float], ...]
    free: tuple[int | None, ...]
    other: Images | None = None
    anything: Any = None
    sizes: tuple[int | tuple[int, int], ...] = ()
    remarks: tuple[Remark, ...] = ()


IMAGES = Images("drawn", "/drawn", "uint8", (2, 3, 4, 4), "ab", labels=(0, 1), fields=(Field("x", "int64", (7,)),))
EVERYTHING = Everything(
    Artifact("key", Path("/artifacts/key"), Manifest({"bits": [8, None]}, 12, notes=("a note",))),
    (IMAGES, IMAGES),
    RunnerSettings(2, device="cuda", cuda=CudaOptions(tf32="on")),
    {"x": Field("x", "float32", (3,))},
    ((1, float("inf")), (2, 0.5)),
    (None, 3),
    sizes=(8, (8, 9)),
    remarks=(Remark("a-code", "a text"),),
)


def test_what_crosses_json_comes_back_as_it_was() -> None:
    assert from_plain(Everything, json.loads(json.dumps(to_plain(EVERYTHING)))) == EVERYTHING


def test_fields_that_are_not_there_have_their_defaults_and_others_are_passed_over() -> None:
    assert from_plain(RunnerSettings, {"threads": 3, "of_later": 1}) == RunnerSettings(3)
    with pytest.raises(TypeError, match="threads"):
        from_plain(RunnerSettings, {"memory_format": "contiguous"})


def test_mappings_paths_and_tuples_become_what_json_keeps() -> None:
    assert to_plain(MappingProxyType({"a": (Path("/b"), (1, 2))})) == {"a": ["/b", [1, 2]]}
