"""The sets that need nothing from the user: the seed's noise, handwritten digits, crops of a few photographs."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isobatch import models
from isobatch.models.registry import load
from isobatch.models.spec.images import Images, Size, sides
from isobatch.models.weights.digits import data
from isobatch.pipeline.inputs.request import CALIBRATION_IMAGES, Labelled, PreparedSet, SetsAsked, described
from isobatch.pipeline.inputs.storing import Part, contents, in_channels, part_name, require_disjoint, store_images

_SEED_SIZE, _SEED_IMAGES, _SEED_CALIBRATION_IMAGES = 400, 4, 8

LABELLED_DIGITS = 400
"""At most so many of the held-out digits, for accuracy."""

FOLDER = Path(models.__file__).with_name("photos")
"""The photographs, with their licences beside them."""
PHOTOS = ("cat.jpg", "coffee.jpg", "palace.jpg", "rocket.jpg")
CALIBRATION_PHOTOS = ("astronaut.jpg", "flower.jpg")

_PLACES = ((0.5, 0.5), (0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0), (0.5, 1), (0, 0.5), (1, 0.5))
CROPS = ((1.0, 0.5, 0.5), *((side, x, y) for side in (0.7, 0.5) for x, y in _PLACES))
"""Square crops: the side as a share of the picture's short side, and the place (0: left or top, 1: right or bottom)."""


def prepare_seed(request: SetsAsked) -> PreparedSet:
    """The recipe of the original question: its four images (more only where more were asked), drawn by torch, and eight
    for calibration from the next seed.

    The first four are the recipe's whatever the count: torch fills a tensor in order.
    """
    evaluation = _drawn(request, "evaluation", request.seed, request.images or _SEED_IMAGES)
    calibration = _drawn(request, "calibration", request.seed + 1, _SEED_CALIBRATION_IMAGES)
    require_disjoint(evaluation, calibration)
    note = f"{len(calibration)} images of another draw, torch.manual_seed({request.seed + 1})"
    source = f"torch.manual_seed({request.seed}); torch.randn({evaluation.shape}) * 10"
    said = f"noise, not pictures: its margins and top-1 say nothing about real images; calibration: {note}"
    return described("seed", source, evaluation, calibration, note, said, drawn=True)


def _drawn(request: SetsAsked, part: Part, seed: int, count: int) -> Images:
    path = request.folder / f"seed-{part}.f32"
    shape = (count, request.channels, _SEED_SIZE, _SEED_SIZE)
    sha256 = load("isobatch.models.pytorch.seed_images:draw")(path, seed, count, _SEED_SIZE, request.channels)
    images = Images(part_name("seed", part), str(path), "float32", shape, sha256)
    return replace(images, unique=len(contents(images)))


def prepare_digits(request: SetsAsked) -> PreparedSet:
    """The first held-out digits; calibration from the calibration split; labels only where the weights know digits."""
    labelled = request.weights == "digits"
    heldout = data.split("heldout")
    evaluation = _digits(request, "evaluation", heldout[: request.wanted], labelled)
    calibration = _digits(request, "calibration", data.split("calibration")[:CALIBRATION_IMAGES], False)
    require_disjoint(evaluation, calibration)
    note = f"{len(calibration)} digits of the calibration split"
    few = f"; {request.wanted} were asked, {len(heldout)} are held out" if request.wanted > len(heldout) else ""
    unknown = "" if labelled else "; unlabelled: these weights were not trained on them"
    source = "scikit-learn's handwritten digits, held-out split, enlarged from 8 x 8 pixels"
    said = f"calibration: {note}{few}{unknown}"
    facts = {"n_files": len(heldout), "labelled": labelled}
    prepared = described("digits", source, evaluation, calibration, note, said, **facts)
    return replace(prepared, labelled=partial(_labelled_digits, request)) if labelled else prepared


def _labelled_digits(request: SetsAsked) -> Labelled:
    return Labelled(_digits(request, "labelled", data.split("heldout")[:LABELLED_DIGITS], True))


def _digits(request: SetsAsked, part: Part, indices: NDArray[np.int64], labelled: bool) -> Images:
    pictures, labels = data.load()

    def rows() -> Iterator[NDArray[np.uint8]]:
        for index in indices:
            picture = data.enlarge(pictures[index : index + 1], request.image_size)[0]
            yield in_channels(picture, request.channels)

    images = store_images(part_name("digits", part), request.folder / f"digits-{part}.u8", rows(), request.view)
    return replace(images, labels=tuple(labels[indices].tolist())) if labelled else images


def prepare_photos(request: SetsAsked) -> PreparedSet:
    """Crops of four photographs; calibration on crops of two others. At most one image per picture and crop."""
    evaluation = _photos(request, "evaluation", PHOTOS, request.wanted)
    calibration = _photos(request, "calibration", CALIBRATION_PHOTOS, CALIBRATION_IMAGES)
    require_disjoint(evaluation, calibration)
    count, pictures = len(evaluation), min(len(evaluation), len(PHOTOS))
    note = f"{len(calibration)} crops of {min(len(calibration), len(CALIBRATION_PHOTOS))} other photographs"
    most = len(PHOTOS) * len(CROPS)
    few = f"; {request.wanted} were asked, there are {most}" if request.wanted > most else ""
    source = "photographs shipped in models/photos (licences in LICENSE-DATA)"
    said = (
        f"{count} crops of {pictures} photographs; crops of one photograph are one cluster: in every rate they count "
        f"for less than {count} independent images{few}; calibration: {note}"
    )
    return described("photos", source, evaluation, calibration, note, said, n_files=len(PHOTOS))


def _photos(request: SetsAsked, part: Part, pictures: tuple[str, ...], count: int) -> Images:
    path = request.folder / f"photos-{part}.u8"
    cropped = islice(_crops(pictures, request.image_size), count)
    rows = (in_channels(row, request.channels) for row in cropped)
    images = store_images(part_name("photos", part), path, rows, request.view)
    return replace(images, groups=tuple(i % len(pictures) for i in range(len(images))))


def _crops(pictures: tuple[str, ...], size: Size) -> Iterator[NDArray[np.uint8]]:
    """uint8 [height, width, 3]: the first crop of every picture, then the second of every picture, and so on."""
    high, wide = sides(size)
    for side, x, y in CROPS:
        for picture in pictures:
            with Image.open(FOLDER / picture, formats=["JPEG"]) as image:
                edge = round(side * min(image.size))
                across, down = round(edge * min(1, wide / high)), round(edge * min(1, high / wide))
                left, top = round(x * (image.width - across)), round(y * (image.height - down))
                box = (left, top, left + across, top + down)
                yield np.asarray(image.resize((wide, high), Image.Resampling.BILINEAR, box=box))
