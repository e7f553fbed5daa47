"""The photos set: crops of a few shipped photographs (models/photos, licences beside them), for ImageNet weights."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isobatch import models
from isobatch.models.spec.images import Images, Size, sides
from isobatch.pipeline.inputs.request import InputsRequest, PreparedSet, described
from isobatch.pipeline.inputs.storing import Part, in_channels, part_name, require_disjoint, store_images

FOLDER = Path(models.__file__).with_name("photos")
EVALUATION = ("cat.jpg", "coffee.jpg", "palace.jpg", "rocket.jpg")
CALIBRATION = ("astronaut.jpg", "flower.jpg")

_PLACES = ((0.5, 0.5), (0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0), (0.5, 1), (0, 0.5), (1, 0.5))
CROPS = ((1.0, 0.5, 0.5), *((side, x, y) for side in (0.7, 0.5) for x, y in _PLACES))
"""Square crops: the side as a share of the picture's short side, and the place (0: left or top, 1: right or bottom)."""


def prepare_photos(request: InputsRequest) -> PreparedSet:
    """Crops of four photographs; calibration on crops of two others. At most one image per picture and crop."""
    evaluation = _stored(request, "evaluation", EVALUATION, request.wanted)
    calibration = _stored(request, "calibration", CALIBRATION, request.calibration_images)
    require_disjoint(evaluation, calibration)
    count, pictures = len(evaluation), min(len(evaluation), len(EVALUATION))
    note = f"{len(calibration)} crops of {min(len(calibration), len(CALIBRATION))} other photographs"
    most = len(EVALUATION) * len(CROPS)
    few = f"; {request.wanted} were asked, there are {most}" if request.wanted > most else ""
    source = "photographs shipped in models/photos (licences in LICENSE-DATA)"
    said = (
        f"{count} crops of {pictures} photographs; crops of one photograph are one cluster: in every rate they count "
        f"for less than {count} independent images{few}; calibration: {note}"
    )
    return described("photos", source, evaluation, calibration, note, said, n_files=len(EVALUATION))


def _stored(request: InputsRequest, part: Part, pictures: tuple[str, ...], count: int) -> Images:
    path = request.folder / f"photos-{part}.u8"
    cropped = islice(crops(pictures, request.image_size), count)
    rows = (in_channels(row, request.channels) for row in cropped)
    images = store_images(part_name("photos", part), path, rows, request.view)
    return replace(images, groups=tuple(i % len(pictures) for i in range(len(images))))


def crops(pictures: tuple[str, ...], size: Size) -> Iterator[NDArray[np.uint8]]:
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
