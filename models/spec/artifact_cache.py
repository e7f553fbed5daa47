"""Built artifacts on disk, found again by the hash of everything that made them; a damaged one is built anew."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobatch import __version__
from isobatch.models.shared.regular_files import AT_ONCE, EXCLUSIVE, Altered, locked, read_object, sync
from isobatch.models.shared.regular_files import file_sha256 as file_sha256  # with the cache that hashes by it
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, Manifest, Network

_MANIFEST = "manifest.json"


def key_of(fields: Mapping[str, Any]) -> str:
    """64 hex digits that stand for these JSON values, whatever their order."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def require_unaltered(*images: Images) -> None:
    """Raise Altered unless these sets are on disk as they were stored and hashed."""
    for image_file in images:
        try:
            same = file_sha256(Path(image_file.path)) == image_file.sha256
        except OSError as error:
            raise Altered(f"the stored images of {image_file.name} went away: {error}. Run again") from error
        if not same:
            raise Altered(f"the stored images of {image_file.name} were altered while they were used: run again")


def require_intact(artifact: Artifact) -> None:
    """Raise Altered unless the artifact is on disk as it was built."""
    try:
        same = _intact(artifact.folder, read_object(artifact.folder / _MANIFEST)["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Altered(f"the artifact in {artifact.folder} went away while it was used: {error}. Run again") from error
    if not same:
        raise Altered(f"the artifact in {artifact.folder} was altered while it was used: run again")


@contextlib.contextmanager
def unaltered(artifact: Artifact, *images: Images) -> Iterator[None]:
    """What is computed inside counts only if the files that it is computed from are, at the end, those that were
    checked. Raises Altered, also in the place of an error that may come from another file.
    """
    try:
        yield
    finally:
        require_intact(artifact)
        require_unaltered(*images)


class ArtifactCache:
    """A folder of artifacts. Several studies may share it: one builder per key, finished folders appear by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        """Where the artifact of this key stands or would stand."""
        return self.root / key[:32]

    def find(self, fields: Mapping[str, Any]) -> Artifact | None:
        """The intact artifact made from these fields, or None. Every file is hashed: a damaged entry is not found."""
        key = _key(fields)
        folder = self.folder(key)
        try:
            stored = read_object(folder / _MANIFEST)
            intact = stored["key"] == key and _intact(folder, stored["files"])
            manifest = Manifest.of(stored["manifest"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return Artifact(key, folder, manifest) if intact else None

    def digests(self, artifact: Artifact) -> dict[str, str]:
        """The SHA-256 of each of the artifact's files by name, as they were built."""
        stored: dict[str, str] = read_object(artifact.folder / _MANIFEST)["files"]
        return stored

    @staticmethod
    def notes(folder: Path) -> tuple[str, ...]:
        """What the builder of the artifact in this folder noted."""
        return tuple(json.loads((folder / _MANIFEST).read_text())["manifest"]["notes"])

    def get(self, fields: Mapping[str, Any], build: Callable[[Path], Manifest]) -> Artifact:
        """The artifact of these fields: found, or built by ``build(folder)`` and kept.

        Whatever ``build`` raises passes through, and leaves nothing behind.
        """
        if artifact := self.find(fields):
            return artifact
        key = _key(fields)
        with self._lock(key):
            if artifact := self.find(fields):  # somebody built it while we waited
                return artifact
            work = Path(tempfile.mkdtemp(prefix=f".{key[:32]}-", dir=self.root))
            try:
                manifest = build(work)
                files = {str(p.relative_to(work)): file_sha256(p) for p in sorted(work.rglob("*")) if p.is_file()}
                stored = {"key": key, "fields": dict(fields), "manifest": manifest.to_json(), "files": files}
                (work / _MANIFEST).write_text(json.dumps(stored, indent=1, sort_keys=True))
                for path in (*work.rglob("*"), work):
                    sync(path)
                shutil.rmtree(self.folder(key), ignore_errors=True)
                os.rename(work, self.folder(key))
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return Artifact(key, self.folder(key), manifest)

    def sweep(self) -> None:
        """Remove the unfinished work of builders that were killed; what a living one works on is locked, and stays."""
        for left in self.root.glob(".*-*"):
            with contextlib.suppress(BlockingIOError), self._lock(left.name[1:33], AT_ONCE):
                shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def _lock(self, key: str, how: int = EXCLUSIVE) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with os.fdopen(locked(self.root / f"{key[:32]}.lock", how), "rb"):
            yield


def _key(fields: Mapping[str, Any]) -> str:
    """What stands for these fields, and for this version of what builds from them."""
    return key_of({**fields, "isobatch": __version__})


def _intact(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether there are files, and each has the SHA-256 that stands behind its name."""
    return bool(files) and all(file_sha256(folder / name) == digest for name, digest in files.items())


@dataclass(frozen=True)
class BuildRequest:
    """What a builder may use."""

    network: Network
    calibration: Images | None  # None for variants without static scales
    cache: ArtifactCache
    say: Callable[[str], None] = print  # one line of progress

    @property
    def images(self) -> Images:
        """The calibration images. Raises ValueError without any."""
        if not self.calibration:
            raise ValueError("static int8 needs calibration images, and none were given")
        return self.calibration
