"""The weights under study, as resolving them gives them: what crosses to the parent, which knows no runtime."""

from dataclasses import dataclass

from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.words import Remark


@dataclass(frozen=True)
class ResolvedWeights:
    """Complete, finite float32 weights of one architecture.

    ``source``: a keyword, or a file's name without its folder. ``path``: the safetensors file in the cache.
    ``sha256``: of sorted names, types, shapes and bytes (``isobatch.models.weights.digits.weights.fingerprint``).
    ``class_names``: one per class, or nothing. ``note``: what the user should know, "" if nothing. ``offer``: which
    other weights may be had, and by which command. ``view``: what pictures are made into, as torchvision's entry for
    these weights says; of weights that are not torchvision's, as its first entry for the model does, unless a file
    beside them says it; ``view_from`` says which, ``view_assumed`` that nothing did. ``model``: with the facts that
    the weights show, such as another number of channels. ``warnings``: code and text. ``num_classes`` None: of a
    factory's network, which running it shows.
    """

    source: str
    model: str
    path: str
    sha256: str
    num_classes: int | None
    note: str = ""
    offer: str = ""
    class_names: tuple[str, ...] = ()
    view: View = IMAGENET
    view_from: str = ""
    view_assumed: bool = False
    warnings: tuple[Remark, ...] = ()
