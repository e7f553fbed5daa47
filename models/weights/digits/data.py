"""The 1,797 handwritten digits behind the embedded weights: images, labels, splits, and the way to 224 x 224 x 3.

Source and licence of the data: LICENSE-DATA, beside this file. Every step here is integer arithmetic or single IEEE
operations in a fixed order, so that all machines see the same bytes.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isobatch.models.spec.images import Size, sides

FILE = Path(__file__).with_name("digits.npz")

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
"""ImageNet's normalisation, per channel, for pixels scaled to 0..1 (torchvision's constants)."""

Split = Literal["train", "calibration", "heldout"]

PERIOD = 11
# Labels run 0 to 9 over and over: a period prime to ten keeps every split about balanced.
SPLITS: dict[Split, tuple[int, ...]] = {
    "train": (0, 2, 3, 5, 7, 9, 10),
    "calibration": (6,),
    "heldout": (1, 4, 8),
}
"""Which residues of an image's index modulo `PERIOD` make up each split."""


def load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images (uint8, [1797, 8, 8], ink from 0 to 16) and their labels (int64, [1797], 0 to 9)."""
    with np.load(FILE, allow_pickle=False) as archive:
        return archive["images"], archive["labels"].astype(np.int64)


def split(name: Split) -> NDArray[np.int64]:
    """Return the indices of one split: 1,144 `train`, 163 `calibration` or 490 `heldout`; int64, ascending.

    Raises ValueError for a name that `SPLITS` lacks.
    """
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}; there are {', '.join(SPLITS)}")
    index = np.arange(1797, dtype=np.int64)
    return index[np.isin(index % PERIOD, SPLITS[name])]


def enlarge(images: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return images of ink 0..16 ([n, 8, 8]) as grey pixels 0..255: uint8, [n, height, width, 3].

    Bilinear by Pillow, whose resampling of 8-bit images is fixed-point.
    """
    pixels = ((images.astype(np.uint16) * 255 + 8) // 16).astype(np.uint8)
    height, width = sides(size)
    enlarged = np.empty((len(images), height, width, 3), dtype=np.uint8)
    for row, image in enumerate(pixels):
        grey = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        enlarged[row] = np.asarray(grey)[:, :, np.newaxis]
    return enlarged


def normalise(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels (uint8, [n, h, w, 3]) as the network's input: float32, [n, 3, h, w], contiguous.

    (x / 255 - MEAN) / STD, each operation rounded to float32 in this order.
    """
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    planes /= np.float32(255)
    planes -= MEAN[:, np.newaxis, np.newaxis]
    planes /= STD[:, np.newaxis, np.newaxis]
    return planes
