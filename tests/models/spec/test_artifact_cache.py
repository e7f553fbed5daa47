"""What stands in the cache and is no intact artifact is built anew, whatever it is, and is not waited for."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from isobatch.models.spec.artifact_cache import ArtifactCache
from isobatch.models.spec.words import Manifest

FIELDS = {"variant": "fp32"}
WEIGHTS = "weights.bin"


def instead(place: Callable[[Path], object]) -> Callable[[Path], None]:
    """Put something else in the place of a file."""

    def spoil(path: Path) -> None:
        path.unlink()
        place(path)

    return spoil


def without(name: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in stored.items() if key != name}))

    return spoil


def holes(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(50 << 30)


SPOILT: dict[str, Callable[[Path], None]] = {
    "pipe": instead(os.mkfifo),
    "device": instead(lambda path: path.symlink_to("/dev/zero")),
    "folder": instead(Path.mkdir),
    "nothing": Path.unlink,
    "holes": holes,
    "brackets": lambda path: path.write_text("[" * 100_000) and None,
    "nested": lambda path: path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000) and None,
    "list": lambda path: path.write_text("[1]") and None,
    "no files": without("files"),
    "no key": without("key"),
    "no manifest": without("manifest"),
}
KINDS = [(name, "manifest.json") for name in SPOILT] + [(name, WEIGHTS) for name in ("pipe", "device", "folder")]


@pytest.mark.parametrize(("name", "file"), KINDS)
def test_what_is_no_artifact_is_built_anew(tmp_path: Path, name: str, file: str) -> None:
    cache, built = ArtifactCache(tmp_path), list[Path]()

    def build(folder: Path) -> Manifest:
        built.append(folder)
        (folder / WEIGHTS).write_bytes(b"weights")
        return Manifest({"of": "a test"}, 7)

    first = cache.get(FIELDS, build)
    assert cache.get(FIELDS, build) == first and len(built) == 1
    SPOILT[name](first.folder / file)
    assert cache.find(FIELDS) is None
    assert cache.get(FIELDS, build) == first and len(built) == 2
    assert (first.folder / WEIGHTS).read_bytes() == b"weights"
    assert cache.find(FIELDS) == first
