"""The digits set: held-out handwritten digits, for the embedded weights; calibrated on a split of its own."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.weights.digits import data
from isobatch.pipeline.inputs.request import InputsRequest, Labelled, PreparedSet, described
from isobatch.pipeline.inputs.storing import Part, in_channels, part_name, require_disjoint, store_images


def prepare_digits(request: InputsRequest) -> PreparedSet:
    """The first held-out digits; calibration from the calibration split; labels only where the weights know digits."""
    labelled = request.weights == "digits"
    heldout = data.split("heldout")
    evaluation = _stored(request, "evaluation", heldout[: request.wanted], labelled)
    calibration = _stored(request, "calibration", data.split("calibration")[: request.calibration_images], False)
    require_disjoint(evaluation, calibration)
    note = f"{len(calibration)} digits of the calibration split"
    few = f"; {request.wanted} were asked, {len(heldout)} are held out" if request.wanted > len(heldout) else ""
    unknown = "" if labelled else "; unlabelled: these weights were not trained on them"
    source = "scikit-learn's handwritten digits, held-out split, enlarged from 8 x 8 pixels"
    said = f"calibration: {note}{few}{unknown}"
    facts = {"n_files": len(heldout), "labelled": labelled}
    prepared = described("digits", source, evaluation, calibration, note, said, **facts)
    return replace(prepared, labelled=partial(_labelled, request)) if labelled else prepared


def _labelled(request: InputsRequest) -> Labelled:
    return Labelled(_stored(request, "labelled", data.split("heldout")[: request.labelled_images], True))


def _stored(request: InputsRequest, part: Part, indices: NDArray[np.int64], labelled: bool) -> Images:
    pictures, labels = data.load()

    def rows() -> Iterator[NDArray[np.uint8]]:
        for index in indices:
            picture = data.enlarge(pictures[index : index + 1], request.image_size)[0]
            yield in_channels(picture, request.channels)

    images = store_images(part_name("digits", part), request.folder / f"digits-{part}.u8", rows(), request.view)
    return replace(images, labels=tuple(labels[indices].tolist())) if labelled else images
