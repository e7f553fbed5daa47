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
    """Return the indices of one split: 1,144 `train`, 163 `calibration` or 490 `heldout`; int64, ascending."""
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
