"""What the first stages ask of their workers: the network, whether it takes the images, artifacts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.interface import Input
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.resolved import ResolvedWeights
from isobatch.models.spec.words import Network
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class NetworkAsked(Crossing):
    """The weights ``name`` of ``model``, or the file ``onnx``, of which a checked copy goes to ``folder``."""

    name: str = "auto"
    model: str = ""
    onnx: str | None = None
    cache: str = ""
    offline: bool = True
    state_dict: str | None = None
    batch_axes: Mapping[str, int] = field(default_factory=dict)
    folder: str = ""


@dataclass(frozen=True)
class ExportAsked(NetworkAsked):
    """A factory's network to be exported for the arrays in the file ``inputs``."""

    inputs: str = ""


@dataclass(frozen=True)
class NetworkFound(ResolvedWeights, Crossing):
    """The network under study, verified. Of an ONNX file ``path`` is empty, and there are besides:

    ``onnx_path``: the checked copy; ``fixed_size``: height and width that its graph takes, where it takes no others;
    ``interface``: its inputs; ``quantized``: how many of its nodes are quantized.
    """

    onnx_path: str | None = None
    onnx_sha256: str | None = None
    fixed_size: tuple[int, int] | None = None
    interface: tuple[Input, ...] = ()
    quantized: int = 0


@dataclass(frozen=True)
class TrialAsked(Crossing):
    """Whether the network takes each of these sets of images, and what it answers. ``outcome``: of what kind.

    ``cache``: where a graph of it is kept, if one has to be made.
    """

    network: Network
    images: tuple[Images, ...]
    outcome: str
    cache: str = ""


@dataclass(frozen=True)
class Trial(Crossing):
    """``refusal``: why it takes none of the images, or None. ``onnx_sha256``: of the checked copy, which was
    ``rewritten`` where the graph had to be changed for them. ``exported``: the graph of a torch network that takes them
    in types of its own alone, to be studied in its place.
    """

    refusal: str | None
    outcome: Outcome | None
    rewritten: bool = False
    onnx_sha256: str | None = None
    exported: str | None = None


@dataclass(frozen=True)
class SizesAsked(Crossing):
    """Whether a torch network takes images of each (height, width) of ``sizes``."""

    model: str
    num_classes: int
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class BuildAsked(Crossing):
    """One variant's artifact, kept under ``fields`` in the cache at ``cache``."""

    variant: str
    fields: Mapping[str, Any]
    network: Network
    calibration: Images | None
    cache: str
