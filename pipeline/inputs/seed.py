"""The seed set: the recipe of the original question, drawn by torch in a worker, stored and hashed here."""

from dataclasses import replace

from isobatch.models.spec.images import Images
from isobatch.pipeline.inputs.request import InputsRequest, PreparedSet, described
from isobatch.pipeline.inputs.storing import Part, contents, part_name, require_disjoint

SIZE = 400
IMAGES = 4
CALIBRATION_IMAGES = 8


def prepare_seed(request: InputsRequest) -> PreparedSet:
    """The recipe's four images (more only where more were asked), and eight for calibration from the next seed.

    The first four are the recipe's whatever the count: torch fills a tensor in order.
    """
    evaluation = _drawn(request, "evaluation", request.seed, request.images or IMAGES)
    calibration = _drawn(request, "calibration", request.seed + 1, CALIBRATION_IMAGES)
    require_disjoint(evaluation, calibration)
    note = f"{CALIBRATION_IMAGES} images of another draw, torch.manual_seed({request.seed + 1})"
    source = f"torch.manual_seed({request.seed}); torch.randn({evaluation.shape}) * 10"
    said = f"noise, not pictures: its margins and top-1 say nothing about real images; calibration: {note}"
    return described("seed", source, evaluation, calibration, note, said, drawn=True)


def _drawn(request: InputsRequest, part: Part, seed: int, count: int) -> Images:
    path = request.folder / f"seed-{part}.f32"
    sha256 = request.draw(path, seed, count, SIZE)
    images = Images(part_name("seed", part), str(path), "float32", (count, request.channels, SIZE, SIZE), sha256)
    return replace(images, unique=len(contents(images)))
