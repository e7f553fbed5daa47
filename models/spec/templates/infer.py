"""Runs the network of this folder with the settings that it was verified with. Needs numpy and what network.py imports.

    python infer.py PICTURE [PICTURE ...]            the best classes of each picture (needs Pillow)
    python infer.py IMAGES.npy --out OUTPUTS.npy     float32 [n, channels, height, width], ready for the network

    from infer import Network
    network = Network()
    outputs = network(network.prepared(["cat.jpg", "dog.png"]))     # [2, classes]
    outputs = network(images)                                       # float32 [n, channels, height, width], any n

The settings (threads, largest batch, preprocessing) stand in settings.json. A call of more images than the largest
batch is split into calls of at most that many: only these were verified.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent
BEST = 5


class Network:
    """The network, open. ``threads``: others than those of settings.json."""

    def __init__(self, threads: int | None = None) -> None:
        self.settings: dict[str, Any] = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
        for name, value in self.settings["environment"].items():
            os.environ.setdefault(name, value)  # caps on instruction sets: read when the runtime loads
        from network import opened  # type: ignore[import-not-found]  # beside this file, where it is shipped

        self._run = opened(FOLDER, self.settings, threads or self.settings["threads"])
        self._streams: int = self.settings["streams"]
        self._pool = ThreadPoolExecutor(self._streams) if self._streams > 1 else None

    def __call__(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs [n, classes] of float32 images [n, channels, height, width]; those of bfloat16 as float32."""
        outputs = self.raw(images)
        if self.settings["type"] == "bfloat16":
            return (outputs.astype(np.uint32) << 16).view(np.float32)
        return outputs

    def raw(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """As a call, in the network's own type: the bits of bfloat16 as uint16."""
        given = np.ascontiguousarray(images, np.float32)
        if given.ndim != 4 or not len(given):
            raise ValueError(f"images of shape {list(given.shape)}: give float32 [n, channels, height, width]")
        largest = self.settings["largest_batch"]
        return np.concatenate([self._call(given[start : start + largest]) for start in range(0, len(given), largest)])

    def _call(self, images: NDArray[np.float32]) -> NDArray[Any]:
        if self._pool is None:
            return np.array(self._run(np.ascontiguousarray(images)))
        return np.concatenate([*self._pool.map(self._run, np.split(images, len(images)))])

    def prepared(self, pictures: Sequence[str | Path]) -> NDArray[np.float32]:
        """Pictures as the network sees them: float32 [n, 3, height, width]."""
        view = self.settings["preprocessing"]
        pixels = np.stack([decoded(Path(picture), view) for picture in pictures]).astype(np.float32)
        if view["channel_order"] == "bgr":
            pixels = pixels[..., ::-1]
        scaled = pixels / np.float32(255) if view["scale"] is None else pixels * np.float32(view["scale"])
        centred = (scaled - np.asarray(view["mean"], np.float32)) / np.asarray(view["std"], np.float32)
        return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))


def decoded(path: Path, view: dict[str, Any]) -> NDArray[np.uint8]:
    """A picture as uint8 [height, width, 3]: upright, RGB, transparency on white, resized, the centre cut out."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened_image:
        image = rgb(ImageOps.exif_transpose(opened_image))
    height, width = view["height"], view["width"]
    if image.size == (width, height) and not view["forced"]:
        return np.asarray(image)
    wide, high = resized(image.size, view)
    scaled = image.resize((wide, high), Image.Resampling[view["interpolation"].upper()])
    left, top = round((wide - width) / 2), round((high - height) / 2)
    return np.asarray(scaled.crop((left, top, left + width, top + height)))


def resized(picture: tuple[int, int], view: dict[str, Any]) -> tuple[int, int]:
    """Width and height that a picture is resized to before its centre is cut out."""
    if view["resize_to"] is not None:
        return view["resize_to"][1], view["resize_to"][0]
    (height, width), (tall, broad) = (view["height"], view["width"]), view["short_sides"]
    if height == width:
        long = int(tall * max(picture) / min(picture))
        return (tall, long) if picture[0] <= picture[1] else (long, tall)
    factor = max(broad / picture[0], tall / picture[1])
    return max(width, round(picture[0] * factor)), max(height, round(picture[1] * factor))


def rgb(image: Any) -> Any:
    """The picture in three channels of 8 bits."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion clips at 255
        grey = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def main() -> None:
    """Answer for pictures, or for an array of prepared images."""
    parser = argparse.ArgumentParser(description="run the network of this folder")
    parser.add_argument("files", nargs="+", metavar="FILE", help="pictures, or one .npy of float32 images")
    parser.add_argument("--out", metavar="FILE.npy", help="write all outputs there")
    arguments = parser.parse_args()
    network = Network()
    files = arguments.files
    if files[0].endswith(".npy"):
        outputs = network(np.load(files[0], allow_pickle=False))
        files = [f"{files[0]}[{index}]" for index in range(len(outputs))]
    else:
        outputs = network(network.prepared(files))
    if arguments.out:
        np.save(arguments.out, outputs, allow_pickle=False)
    for name, row in zip(files, outputs, strict=True):
        best = np.argsort(-row.astype(np.float64), kind="stable")[:BEST]
        print(f"{name}: {', '.join(f'class {index} ({row[index]:.6g})' for index in best)}")


if __name__ == "__main__":
    main()
