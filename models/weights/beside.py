"""What a file beside a network says of the pictures that it takes: Hugging Face's processors, timm's configurations."""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

from isobatch.models.spec.images import UNIT, View, sides

PROCESSOR, CONFIGURATION = "preprocessor_config.json", "config.json"
_MOST_BYTES = 1 << 20
_PILLOW = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL.Image.Resampling, by which a processor names them
_GRAPHS = "onnx"  # the folder in which a hub's repository keeps graphs, below its configurations


class Beside(NamedTuple):
    """What the files beside the weights say of how pictures are prepared."""

    view: View | None  # None: there is nothing, or nothing that can be used
    said: str  # in words, where it is from


def read_beside(file: Path) -> Beside:
    """The view that a configuration beside this file states: a processor's, else timm's."""
    folders = [file.parent, *([file.parent.parent] if file.parent.name == _GRAPHS else [])]
    unused = []
    for name, read in ((PROCESSOR, _of_processor), (CONFIGURATION, view_of_timm)):
        for path in (folder / name for folder in folders):
            if not path.is_file() or path.stat().st_size > _MOST_BYTES:
                continue
            try:
                view = read(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, OverflowError):
                unused.append(f"{name} beside it does not say it in a way that is known")
                continue
            if view is not None:
                return Beside(view, f"{name} beside it")
    return Beside(None, unused[0] if unused else "")


def _of_processor(data: dict[str, Any]) -> View | None:
    """As transformers' image processors store themselves."""
    if "image_mean" not in data and "size" not in data:
        return None
    size, crop = data.get("size", 224), data.get("crop_size")
    resize_to = None
    if isinstance(size, dict) and "shortest_edge" in size:
        short = _whole(size["shortest_edge"])
        side = _side(crop) if crop is not None and data.get("do_center_crop", True) else short
        if "crop_pct" in data and short < 384:  # ConvNeXt: the crop is the size given
            side, short = short, int(short / float(data["crop_pct"]))
        elif "crop_pct" in data:  # ConvNeXt from there on: the whole picture, whatever its proportion
            resize_to = short, short
    else:
        exact = (_whole(size["height"]), _whole(size["width"])) if isinstance(size, dict) else (_whole(size),) * 2
        short = exact[0]
        side = _side(crop) if crop is not None and data.get("do_center_crop") else exact[0]
        resize_to = exact if isinstance(size, dict) else None
    normal = data.get("do_normalize", True)
    return View(
        size=side,
        resize=short,
        interpolation=_known(_PILLOW[data.get("resample", 2)]),
        mean=_values(data["image_mean"]) if normal else (0.0, 0.0, 0.0),
        std=_values(data["image_std"]) if normal else (1.0, 1.0, 1.0),
        scale=_scale(data.get("rescale_factor", UNIT)) if data.get("do_rescale", True) else 1.0,
        resize_to=resize_to,
    )


def view_of_timm(data: dict[str, Any]) -> View | None:
    """The view of timm's ``pretrained_cfg``; None where it says nothing. Raises ValueError for an unknown way."""
    about = data.get("pretrained_cfg", data)
    if "mean" not in about or "input_size" not in about:
        return None
    _, height, width = about["input_size"]
    share = float(about.get("crop_pct", 0.875))
    if height != width or not 0 < share <= 1:
        raise ValueError(f"input_size {about['input_size']}, crop_pct {share}")
    resize = int(height / share)
    return View(
        size=_whole(height),
        resize=resize,
        interpolation=_known(about.get("interpolation", "bilinear")),
        mean=_values(about["mean"]),
        std=_values(about["std"]),
        resize_to=(resize, resize) if about.get("crop_mode") == "squash" else None,
    )


def _known(name: str) -> Literal["bilinear", "bicubic", "nearest"]:
    match name:
        case "bilinear" | "bicubic" | "nearest":
            return name
    raise ValueError(f"interpolation {name!r}")


def _scale(value: float) -> float:
    return UNIT if abs(float(value) - UNIT) < 1e-6 else float(value)


def _side(size: Any) -> int:
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else sides(size)
    if height != width:
        raise ValueError(f"a crop of {height} x {width}")
    return _whole(height)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= 8192:
        raise ValueError(f"a size of {value!r}")
    return value


def _values(given: Any) -> tuple[float, ...]:
    values = tuple(float(value) for value in given)
    if len(values) not in (1, 3) or not all(abs(value) < 1e6 for value in values):
        raise ValueError(f"values {given!r}")
    return values
