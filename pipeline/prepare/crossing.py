"""What the first stages ask of their workers: the network, whether it takes the images, artifacts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.interface import Input
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.resolved import ResolvedWeights
from isobatch.models.spec.words import Network
from isobatch.pipeline.processes.wire import Crossing


@dataclass(frozen=True)
class NetworkAsked(Crossing):
    """Weights of a model, or an ONNX file."""

    name: str = "auto"  # of the weights
    model: str = ""
    onnx: str | None = None
    cache: str = ""
    offline: bool = True
    state_dict: str | None = None
    batch_axes: Mapping[str, int] = field(default_factory=dict)
    folder: str = ""  # where a checked copy of the ONNX file goes


@dataclass(frozen=True)
class ExportAsked(NetworkAsked):
    """A factory's network to be exported for the arrays in the file ``inputs``."""

    inputs: str = ""


@dataclass(frozen=True)
class NetworkFound(ResolvedWeights, Crossing):
    """The network under study, verified. The fields are those of an ONNX file, whose ``path`` is empty."""

    onnx_path: str | None = None  # the checked copy
    onnx_sha256: str | None = None
    fixed_size: tuple[int, int] | None = None  # height and width that its graph takes, where it takes no others
    interface: tuple[Input, ...] = ()  # its inputs
    quantized: int = 0  # how many of its nodes are quantized


@dataclass(frozen=True)
class TrialAsked(Crossing):
    """Whether the network takes each of these sets of images, and what it answers."""

    network: Network
    images: tuple[Images, ...]
    outcome: str  # of what kind
    cache: str = ""  # where a graph of it is kept, if one has to be made


@dataclass(frozen=True)
class Trial(Crossing):
    """What the network answered."""

    refusal: str | None  # why it takes none of the images, or None
    outcome: Outcome | None
    rewritten: bool = False  # the graph had to be changed for the images
    onnx_sha256: str | None = None  # of the checked copy
    # The graph of a torch network that takes the images in types of its own alone, to be studied in its place.
    exported: str | None = None


@dataclass(frozen=True)
class SizesAsked(Crossing):
    """Whether a torch network takes images of each (height, width) of ``sizes``."""

    model: str
    num_classes: int
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class BuildAsked(Crossing):
    """One variant's artifact, to be built and kept in the cache."""

    variant: str
    fields: Mapping[str, Any]  # its key in the cache
    network: Network
    calibration: Images | None
    cache: str
