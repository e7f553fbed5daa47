"""Requests and pictures for the tests of the input stage: small sizes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isobatch.models.spec.images import Images
from isobatch.pipeline.inputs import PreparedSet, SetsAsked, prepare


def ask(tmp_path: Path, asked: object, **options: Any) -> SetsAsked:
    return SetsAsked(**{"image_size": 16, "folder": tmp_path / "out", **options, "asked": str(asked)})


def only_set(tmp_path: Path, asked: object, **options: Any) -> PreparedSet:
    """The only set of the request."""
    (prepared_set,) = prepare(ask(tmp_path, asked, **options))
    return prepared_set


def noise(seed: int, width: int = 24, height: int = 20) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def pictures(folder: Path, *names: str) -> Path:
    """Distinct pictures below the folder, told apart by their names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])).save(path)
    return folder


def rows(images: Images) -> list[bytes]:
    stored = Path(images.path).read_bytes()
    return [stored[start : start + images.image_bytes] for start in range(0, len(stored), images.image_bytes)]


def pixels(images: Images) -> NDArray[np.uint8]:
    count, channels, height, width = images.shape
    return np.frombuffer(b"".join(rows(images)), np.uint8).reshape(count, height, width, channels)
