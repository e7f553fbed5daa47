import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isobatch.models.spec.images import View
from isobatch.models.weights.torchvision_compat import torchvision
from isobatch.pipeline.inputs import decode as module
from isobatch.pipeline.inputs.choose import Unusable
from isobatch.pipeline.inputs.decode import decode

from .helpers import noise


def flat(tmp_path: Path, image: Image.Image, name: str = "a.png", **options: Any) -> tuple[int, ...]:
    """The centre pixel of the picture as decoded."""
    image.save(tmp_path / name, **options)
    return tuple(int(value) for value in decode(tmp_path / name, 8)[4, 4])


def reason(path: Path) -> str:
    with pytest.raises(Unusable) as caught:
        decode(path, 8)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IDAT"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, end)
    )


@pytest.mark.parametrize("shape", [(300, 200), (200, 301), (97, 64), (50, 50), (333, 20)])
@pytest.mark.parametrize("size", [64, 224])
def test_the_transform_is_torchvisions(tmp_path: Path, shape: tuple[int, int], size: int) -> None:
    image = noise(1, *shape)
    image.save(tmp_path / "a.png")
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.Resize(round(size * 256 / 224)), torchvision.transforms.CenterCrop(size)]
    )
    assert np.array_equal(decode(tmp_path / "a.png", size), np.asarray(transform(image)))


@pytest.mark.parametrize("shape", [(300, 200), (97, 64)])
def test_the_view_of_other_weights(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = noise(1, *shape)
    image.save(tmp_path / "a.png")
    bicubic = torchvision.transforms.InterpolationMode.BICUBIC
    preset = torchvision.transforms._presets.ImageClassification(
        crop_size=60, resize_size=90, interpolation=bicubic, mean=(0, 0, 0), std=(1, 1, 1)
    )
    pixels = decode(tmp_path / "a.png", 60, View(60, 90, "bicubic"))
    expected = (preset(image).numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
    assert np.array_equal(pixels, expected)
    assert View(60, 90).short_side(120) == 180


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.jpg"])
def test_the_four_formats(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    assert flat(tmp_path, Image.new("RGB", (20, 20), (200, 200, 200)), name, **options) == (200, 200, 200)


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    noise(1).save(tmp_path / "real.png")
    (tmp_path / "real.png").rename(tmp_path / "a.jpg")
    assert decode(tmp_path / "a.jpg", 8).shape == (8, 8, 3)
    noise(1).save(tmp_path / "b.gif")
    (tmp_path / "b.gif").rename(tmp_path / "b.png")
    assert reason(tmp_path / "b.png") == "not a jpeg, png, webp or bmp picture"


def test_grey(tmp_path: Path) -> None:
    assert flat(tmp_path, Image.new("L", (20, 20), 77)) == (77, 77, 77)
    assert flat(tmp_path, Image.new("1", (20, 20), 1)) == (255, 255, 255)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (255, 1), (32768, 128), (51400, 200), (65535, 255)])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, value: int, expected: int) -> None:
    image = Image.fromarray(np.full((20, 20), value, np.uint16))
    assert flat(tmp_path, image) == (expected,) * 3


def test_cmyk_jpeg(tmp_path: Path) -> None:
    pixels = flat(tmp_path, Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "a.jpg", quality=95)
    assert np.allclose(pixels, (255, 0, 0), atol=4)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    assert flat(tmp_path, Image.new("RGBA", (20, 20), (10, 20, 30, 0))) == (255, 255, 255)
    assert flat(tmp_path, Image.new("RGBA", (20, 20), (10, 20, 30, 255))) == (10, 20, 30)
    assert flat(tmp_path, Image.new("LA", (20, 20), (0, 0))) == (255, 255, 255)


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert flat(tmp_path, image) == (10, 200, 30)
    assert flat(tmp_path, image, transparency=1) == (255, 255, 255)
    assert flat(tmp_path, image, transparency=bytes([255, 0])) == (255, 255, 255)


@pytest.mark.parametrize("depth", ["RGB", "I;16"])
def test_exif_rotation_is_applied(tmp_path: Path, depth: str) -> None:
    half: NDArray[np.uint16] = np.zeros((20, 20), np.uint16)
    half[:, :10] = 65535  # bright on the left; stored turned, so that orientation 6 (turn right) puts it on top
    image = Image.fromarray(half) if depth == "I;16" else Image.fromarray((half >> 8).astype(np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    upright = decode(tmp_path / "a.png", 8)
    assert (upright[0] == 255).all()
    assert (upright[-1] == 0).all()


def test_a_picture_of_one_pixel(tmp_path: Path) -> None:
    assert flat(tmp_path, Image.new("RGB", (1, 1), (9, 8, 7))) == (9, 8, 7)


def test_truncated_and_damaged_pictures(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        buffer = io.BytesIO()
        noise(3, 64, 64).save(buffer, kind)
        (tmp_path / "a.png").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
        assert reason(tmp_path / "a.png"), kind
    (tmp_path / "a.png").write_bytes(png_header(20, 20))
    assert reason(tmp_path / "a.png")


def test_junk_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    assert reason(tmp_path / "a.png") == "not a jpeg, png, webp or bmp picture"
    (tmp_path / "a.png").write_bytes(b"")
    assert reason(tmp_path / "a.png") == "empty file"


@pytest.mark.parametrize("size", [(10_000, 8_000), (12_000, 8_000), (100_000, 100_000)])
def test_a_decompression_bomb_is_refused_before_it_unfolds(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(png_header(*size))  # would fail otherwise: it has no pixels
    assert "more than 64,000,000 pixels" in reason(tmp_path / "a.png")


def test_a_line_that_would_unfold_when_resized_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (1_000_000, 1)).save(tmp_path / "a.png")
    assert "more than 64,000,000 pixels" in reason(tmp_path / "a.png")


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "a.bmp", "wb") as file:
        file.truncate(module.MAX_FILE_BYTES + 1)
    assert reason(tmp_path / "a.bmp") == "larger than 268,435,456 bytes"


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert reason(tmp_path / "pipe.png") == "not a regular file"
    assert reason(tmp_path / "missing.png") == "unreadable: No such file or directory"

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    noise(1).save(tmp_path / "a.png")
    monkeypatch.setattr(module, "_open_at_once", refuse)
    assert reason(tmp_path / "a.png") == "unreadable: Permission denied"


def test_whatever_a_decoder_raises_becomes_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(image: Image.Image) -> Image.Image:
        raise ZeroDivisionError("inside\nthe decoder")

    noise(1).save(tmp_path / "a.png")
    monkeypatch.setattr(module, "rgb", explode)
    assert reason(tmp_path / "a.png") == "cannot be decoded: inside?the decoder"
