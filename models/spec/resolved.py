"""The weights under study, as resolving them gives them: what crosses to the parent, which knows no runtime."""

from dataclasses import dataclass

from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.words import Remark


@dataclass(frozen=True)
class ResolvedWeights:
    """Complete, finite float32 weights of one architecture."""

    source: str  # a keyword, or a file's name without its folder
    model: str  # with the facts that the weights show, such as another number of channels
    path: str  # the safetensors file in the cache
    sha256: str  # of sorted names, types, shapes and bytes (``isobatch.models.weights.digits.weights.fingerprint``)
    num_classes: int | None  # None: of a factory's network, which running it shows
    note: str = ""  # what the user should know, "" if nothing
    offer: str = ""  # which other weights may be had, and by which command
    class_names: tuple[str, ...] = ()  # one per class, or nothing
    # What pictures are made into, as torchvision's entry for these weights says; of weights that are not torchvision's,
    # as a file beside them says, or else torchvision's first entry for the model.
    view: View = IMAGENET
    view_from: str = ""  # which of these said it
    view_assumed: bool = False  # none did
    warnings: tuple[Remark, ...] = ()  # code and text
