"""One untrusted picture file to the pixels a network sees, or the reason why not. No file can stop a study."""

import os
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from isobatch.models.spec.images import IMAGENET, Size, View, sides
from isobatch.models.spec.templates.infer import resized, rgb  # a shipped loader reads pictures by the same code
from isobatch.pipeline.inputs.choose import Unusable
from isobatch.pipeline.inputs.request import printable

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256 << 20


def decode(path: Path, size: Size, view: View = IMAGENET) -> NDArray[np.uint8]:
    """The picture as uint8 [height, width, 3]: upright (EXIF), RGB, and torchvision's evaluation transform.

    That is: the short side resized in the view's proportion (antialiased, by Pillow), then the centre cut out. A
    picture that has the size already stays as it is, unless the view is forced.
    Transparency lies on white; colour profiles are ignored. Raises Unusable with the reason.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a decoder's remarks on a picture that it can read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            _check_file(file)
            with Image.open(file, formats=FORMATS) as image:
                _check_pixels(*image.size)
                return _centre(rgb(ImageOps.exif_transpose(image)), sides(size), view)
    except Unusable:
        raise
    except UnidentifiedImageError:
        raise Unusable("not a jpeg, png, webp or bmp picture") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Unusable(f"more than {MAX_PIXELS:,} pixels") from None
    except OSError as error:
        raise Unusable(f"unreadable: {printable(error.strerror or error)}") from error
    except Exception as error:  # hostile bytes may raise anything in a decoder; one file must not end the study
        raise Unusable(f"cannot be decoded: {printable(error)}") from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO put in the file's place would block for ever


def _check_file(file: BinaryIO) -> None:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("not a regular file")
    if status.st_size == 0:
        raise Unusable("empty file")
    if status.st_size > MAX_FILE_BYTES:
        raise Unusable(f"larger than {MAX_FILE_BYTES:,} bytes")


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unusable(f"{width} x {height} is more than {MAX_PIXELS:,} pixels")


def smaller(path: Path, size: Size) -> tuple[int, int] | None:
    """Width and height of a picture that must be enlarged to be cut to this size; None of another, or of no picture."""
    height, width = sides(size)
    try:
        with open(path, "rb", opener=_open_at_once) as file, Image.open(file, formats=FORMATS) as image:
            wide, high = ImageOps.exif_transpose(image).size if image.getexif().get(0x0112, 1) > 4 else image.size
    except Exception:  # it is refused, with its reason, where it is decoded
        return None
    return (wide, high) if wide < width or high < height else None


def _centre(image: Image.Image, size: tuple[int, int], view: View) -> NDArray[np.uint8]:
    height, width = size
    if image.size == (width, height) and not view.forced:
        return np.asarray(image)
    short_sides = view.short_side(height), view.short_side(width)
    shipped = {"height": height, "width": width, "short_sides": short_sides, "resize_to": view.resize_to}
    wide, high = resized(image.size, shipped)
    _check_pixels(wide, high)  # one row of a million pixels would grow to 256 rows of 256 million
    scaled = image.resize((wide, high), Image.Resampling[view.interpolation.upper()])
    left, top = round((wide - width) / 2), round((high - height) / 2)
    return np.asarray(scaled.crop((left, top, left + width, top + height)))
