"""Pictures handed over as the network takes them: its layout and type, seen from its file and said."""

from collections.abc import Sequence
from dataclasses import replace

from isobatch.models.spec.images import Images
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs.request import Labelled, PreparedSet


def as_taken(prepared: PreparedSet, interface: Sequence[Input]) -> PreparedSet:
    """The set with its pictures in the layout and type of the network's input; itself where those are the usual ones.

    Sets of arrays are stored as they are taken, and come back as they are.
    """
    if len(interface) != 1 or interface[0].usual or prepared.evaluation.fields:
        return prepared
    (tensor,) = interface
    fed = f"{tensor.layout} {tensor.dtype}"

    def handed(images: Images) -> Images:
        return replace(images, fed=fed)

    raw = " (0 to 255, not normalised)" if tensor.dtype == "uint8" else ""
    note = f"{prepared.record.note}; handed over as {fed}{raw}, which {tensor.name!r} takes"
    labelled = prepared.labelled

    def all_labelled() -> Labelled:
        assert labelled is not None
        images = labelled()
        return replace(images, images=handed(images.images))

    return replace(
        prepared,
        record=prepared.record.model_copy(update={"note": note}),
        evaluation=handed(prepared.evaluation),
        calibration=prepared.calibration and handed(prepared.calibration),
        labelled=all_labelled if labelled is not None else None,
    )
