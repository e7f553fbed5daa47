from dataclasses import replace

import pytest

from isobatch.models.spec.images import IMAGENET, UNIT, Size, View
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.config.preprocessing import read_preprocessing, read_size, view_asked
from isobatch.pipeline.records.errors import UsageError


def view(*flags: str, image_size: Size | None = None, channels: int = 3, default: View = IMAGENET) -> tuple[View, Size]:
    asked = read_preprocessing(study_parser().parse_args(list(flags)))
    return view_asked(default, asked, image_size, channels)


@pytest.mark.parametrize(
    ("flags", "wanted", "size"),
    [
        ((), IMAGENET, 224),
        (("--mean", "0", "--std", "1", "--scale", "1"), replace(IMAGENET, mean=(0,) * 3, std=(1,) * 3, scale=1), 224),
        (("--mean", "0.1,0.2,0.3"), replace(IMAGENET, mean=(0.1, 0.2, 0.3)), 224),
        (("--scale", "1/255"), IMAGENET, 224),
        (("--scale", "0.0039215686"), IMAGENET, 224),
        (("--scale", "1/128"), replace(IMAGENET, scale=1 / 128), 224),
        (("--resize", "232"), replace(IMAGENET, resize=232, forced=True), 224),
        (("--resize", "70", "--crop", "64"), replace(IMAGENET, size=64, resize=70, forced=True), 64),
        (("--resize", "64x128"), replace(IMAGENET, resize_to=(64, 128), forced=True), (64, 128)),
        (("--crop", "64"), replace(IMAGENET, forced=True), 64),
        (
            ("--interpolation", "bicubic", "--channel-order", "bgr"),
            replace(IMAGENET, interpolation="bicubic", channel_order="bgr"),
            224,
        ),
    ],
)
def test_what_the_flags_make_of_the_default(flags: tuple[str, ...], wanted: View, size: Size) -> None:
    assert view(*flags) == (wanted, size)


def test_grey_images_have_the_mean_of_the_channels() -> None:
    grey, _ = view(channels=1)
    assert grey.mean == (0.449,) and grey.std == (0.226,)
    assert view("--mean", "0.5", channels=1)[0].mean == (0.5,)


@pytest.mark.parametrize(
    ("flags", "image_size", "complaint"),
    [
        (("--mean", "a"), None, "--mean 'a' is not a number"),
        (("--mean", "0,0"), None, "--mean has 2 numbers: give one, or 3"),
        (("--std", "0"), None, "--std '0' is not a number above 0"),
        (("--scale", "1/0"), None, "--scale '1/0' is not a number above 0"),
        (("--resize", "100"), None, "--resize 100 is smaller than what is cut out, 224: give --crop"),
        (("--resize", "100x100x1"), None, "not a whole number"),
        (("--resize", "100", "--crop", "64x80"), None, "64x80 no square: give --resize HxW"),
        (("--resize", "60x80", "--crop", "64"), None, "--resize 60x80 is smaller than what is cut out, 64x64"),
        (("--crop", "64"), 32, "two sizes of the images"),
    ],
)
def test_what_cannot_be_is_refused(flags: tuple[str, ...], image_size: Size | None, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        view(*flags, image_size=image_size)


def test_a_size_is_a_side_or_height_and_width() -> None:
    assert (read_size("--x", "64"), read_size("--x", "64x128"), read_size("--x", "64x64")) == (64, (64, 128), 64)


def test_an_exact_size_follows_another_image_size() -> None:
    squashed = replace(IMAGENET, size=200, resize_to=(220, 220))
    assert view(image_size=100, default=squashed)[0].resize_to == (110, 110)
    assert squashed.scale == UNIT
