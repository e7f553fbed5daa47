"""Runs the network of this folder with the settings that it was verified with. Needs numpy and what network.py imports.

    python infer.py PICTURE [PICTURE ...]            the best classes of each picture (needs Pillow)
    python infer.py IMAGES.npy --out OUTPUTS.npy     an array [n, ...], ready for the network
    python infer.py INPUTS.npz --out OUTPUTS.npz     of a network of several inputs, an array of each by its name

    from infer import Network
    network = Network()
    outputs = network(network.prepared(["cat.jpg", "dog.png"]))     # [2, classes], of a network that takes pictures
    outputs = network(images)                                       # an array [n, ...], any n
    outputs = network({"ids": ids, "mask": mask})                   # several inputs, by name

Several outputs come as a dict by name. What the network takes, and the other settings (threads, largest batch,
preprocessing), stand in settings.json. A call of more images than the largest batch is split into calls of at most that
many: only these were verified.
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

Arrays = NDArray[Any] | dict[str, NDArray[Any]]
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

    def __call__(self, images: Arrays) -> Any:
        """The outputs [n, ...] of these images: an array, or a dict of several; those of bfloat16 as float32."""
        outputs = self.raw(images)
        if self.settings["type"] == "bfloat16":
            return (outputs.astype(np.uint32) << 16).view(np.float32)
        return outputs

    def raw(self, images: Arrays) -> Any:
        """As a call, in the network's own type: the bits of bfloat16 as uint16."""
        given = self._taken(images)
        largest = self.settings["largest_batch"]
        return joined([self._call(between(given, at, at + largest)) for at in range(0, length(given), largest)])

    def _call(self, images: Arrays) -> Any:
        if self._pool is None:
            return self._run(images)
        return joined([*self._pool.map(self._run, [between(images, i, i + 1) for i in range(length(images))])])

    def _taken(self, images: Arrays) -> Arrays:
        """The arrays as the network takes them. Raises ValueError for others."""
        inputs = self.settings["inputs"]
        if not inputs:
            layout, kind = (self.settings["fed"] or "NCHW float32").split()
            axes = "height, width, channels" if layout == "NHWC" else "channels, height, width"
            return fitted(images, kind, 4, f"give {kind} [n, {axes}]")
        given = images if isinstance(images, dict) else {inputs[0]["name"]: images} if len(inputs) == 1 else {}
        if any(tensor["name"] not in given for tensor in inputs):
            raise ValueError(f"give a dict of arrays by name: {self.takes()}")
        made = {
            t["name"]: fitted(given[t["name"]], t["dtype"], len(t["shape"]) + 1, f"give {self.takes()}") for t in inputs
        }
        for tensor in inputs:
            axis, shape = self.settings["batch_axes"].get(tensor["name"], 0), made[tensor["name"]].shape
            if axis and list(shape[1:]) != tensor["shape"] and [*shape[:axis], *shape[axis + 1 :]] == tensor["shape"]:
                raise ValueError(
                    f"the batch of {tensor['name']!r} is its axis {axis}: give numpy.moveaxis(x, {axis}, 0)"
                )
        if len({len(values) for values in made.values()}) > 1:
            raise ValueError(f"arrays of different lengths: each holds all n examples of {self.takes()}")
        return made

    def takes(self) -> str:
        """What the network takes, in words, with the sizes that were verified."""
        told = [
            f"{tensor['name']!r} {tensor['dtype']} [{', '.join(map(str, ('n', *tensor['shape'])))}]"
            for tensor in self.settings["inputs"]
        ]
        return ", ".join(told) or "pictures"

    def prepared(self, pictures: Sequence[str | Path]) -> NDArray[Any]:
        """Pictures as the network takes them: float32 [n, 3, height, width], unless settings.json says otherwise."""
        view = self.settings["preprocessing"]
        if view is None:
            raise ValueError(f"this network takes no pictures: give {self.takes()}")
        pixels = np.stack([decoded(Path(picture), view, self.settings["shape"][0]) for picture in pictures])
        if view["channel_order"] == "bgr":
            pixels = pixels[..., ::-1]
        layout, kind = (self.settings["fed"] or "NCHW float32").split()
        if kind != "uint8":
            values = pixels.astype(np.float32)
            scaled = values / np.float32(255) if view["scale"] is None else values * np.float32(view["scale"])
            centred = (scaled - np.asarray(view["mean"], np.float32)) / np.asarray(view["std"], np.float32)
            pixels = centred.astype(kind)
        return np.ascontiguousarray(pixels if layout == "NHWC" else pixels.transpose(0, 3, 1, 2))


def fitted(values: Any, kind: str, axes: int, remedy: str) -> NDArray[Any]:
    """The array in this type, which holds its values or rounds them. Raises ValueError for another kind or rank."""
    given = np.asarray(values)
    if given.ndim != axes or not len(given) or not np.can_cast(given.dtype, kind, "same_kind"):
        raise ValueError(f"an array {given.dtype} {list(given.shape)}: {remedy}")
    return np.ascontiguousarray(given, kind)


def length(given: Arrays) -> int:
    """How many examples there are."""
    return len(next(iter(given.values())) if isinstance(given, dict) else given)


def between(given: Arrays, start: int, stop: int) -> Arrays:
    """The examples ``start`` to ``stop``, each array in memory of its own order."""
    if isinstance(given, dict):
        return {name: np.ascontiguousarray(values[start:stop]) for name, values in given.items()}
    return np.ascontiguousarray(given[start:stop])


def joined(parts: Sequence[Any]) -> Any:
    """The outputs of several calls, one after the other."""
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts)


def decoded(path: Path, view: dict[str, Any], channels: int = 3) -> NDArray[np.uint8]:
    """A picture as uint8 [height, width, channels]: upright, RGB or grey, transparency on white, resized, the centre
    cut out.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as opened_image:
        image = rgb(ImageOps.exif_transpose(opened_image))
    height, width = view["height"], view["width"]
    if image.size != (width, height) or view["forced"]:
        wide, high = resized(image.size, view)
        scaled = image.resize((wide, high), Image.Resampling[view["interpolation"].upper()])
        left, top = round((wide - width) / 2), round((high - height) / 2)
        image = scaled.crop((left, top, left + width, top + height))
    return np.asarray(image.convert("L"))[:, :, np.newaxis] if channels == 1 else np.asarray(image)


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
    """Answer for pictures, or for arrays of prepared images."""
    parser = argparse.ArgumentParser(description="run the network of this folder")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="pictures, or one .npy or .npz of arrays that are ready"
    )
    parser.add_argument("--out", metavar="FILE", help="write all outputs there, .npy or .npz")
    arguments = parser.parse_args()
    network = Network()
    files = arguments.files
    try:
        if files[0].endswith((".npy", ".npz")):
            given = np.load(files[0], allow_pickle=False)
            outputs = network({name: given[name] for name in given.files} if hasattr(given, "files") else given)
            files = [f"{files[0]}[{index}]" for index in range(length(outputs))]
        else:
            outputs = network(network.prepared(files))
    except ValueError as error:
        parser.error(str(error))
    except Exception as error:  # a runtime's own, of a shape that the network cannot take, say
        parser.error(
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]} (the network takes {network.takes()})"
        )
    if arguments.out and (isinstance(outputs, dict) or arguments.out.endswith(".npz")):
        np.savez(arguments.out, **(outputs if isinstance(outputs, dict) else {"outputs": outputs}))
    elif arguments.out:
        np.save(arguments.out, outputs, allow_pickle=False)
    if isinstance(outputs, dict) or outputs.ndim != 2 or network.settings["outcome"] != "classes":
        for name, values in outputs.items() if isinstance(outputs, dict) else [("outputs", outputs)]:
            print(f"{name}: {values.dtype} {list(values.shape)}, {values.min():.6g} to {values.max():.6g}")
        return
    for name, row in zip(files, outputs, strict=True):
        best = np.argsort(-row.astype(np.float64), kind="stable")[:BEST]
        print(f"{name}: {', '.join(f'class {index} ({row[index]:.6g})' for index in best)}")


if __name__ == "__main__":
    main()
