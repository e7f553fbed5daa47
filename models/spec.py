"""The words between a variant's description and a live engine: specs, artifacts, runners. Imports no runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.images import Images

if TYPE_CHECKING:
    from models.artifact_cache import ArtifactCache
    from models.case import Case

Json = Any  # JSON-ready values


class VariantUnavailable(Exception):
    """This variant cannot be had here. ``reason`` says why, ``remedy`` what would change that."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} ({remedy})")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True)
class VariantSpec:
    """One row of the table of variants.

    ``build`` and ``open`` are dotted paths (``package.module:function``), imported only in a worker:
    ``build(spec, request, folder) -> Manifest`` writes the artifact's files into ``folder``;
    ``open(artifact, settings) -> Runner`` gives the engine, live between enter and exit.
    """

    name: str
    runtime: Literal["torch", "onnxruntime"]
    precision: str
    summary: str
    build: str
    open: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    role: Literal["candidate", "reference"] = "candidate"
    optional: bool = False
    calibrated: bool = False  # static scales: one artifact per input set, calibrated on that set's calibration part
    requires: tuple[str, ...] = ()  # distributions beyond requirements.txt, e.g. ("torchao==0.18.0",)
    # Processor features (the kernel's words), one of which this arithmetic needs: without any it is emulated, too slow
    # for more than a few images, and the study measures only those.
    native_isa: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)  # where it can run; under another ``--device`` it stays on the CPU


@dataclass(frozen=True)
class Network:
    """The network under study: an architecture by name with a complete, verified state dict, or an ONNX file."""

    model: str
    weights_path: str  # safetensors with the complete float32 state dict
    weights_sha256: str
    num_classes: int  # 0: an ONNX file that leaves it free
    onnx_path: str | None = None
    size: tuple[int, int] = (224, 224)  # height and width of images that it surely takes


@dataclass(frozen=True)
class BuildRequest:
    """What a builder may use. ``calibration`` is None for variants without static scales."""

    network: Network
    calibration: Images | None
    cache: ArtifactCache
    say: Callable[[str], None] = print  # one line of progress


@dataclass(frozen=True)
class Manifest:
    """What a builder says of what it built. ``size_bytes`` is what a deployment would ship (weights and graph).

    ``recipe``: for int8 the observer, granularity, symmetry, reduce_range and types, as plain JSON values.
    ``int8_layers`` of ``weight_layers`` hold int8 weights. ``notes``: surprises worth a line in the report.
    """

    recipe: Mapping[str, Any]
    size_bytes: int
    int8_layers: int = 0
    weight_layers: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A built variant on disk: ``folder`` holds only safetensors, JSON and ONNX files."""

    key: str  # 64 hex: of spec, weights, calibration and toolchain
    folder: Path
    manifest: Manifest


@dataclass(frozen=True)
class CudaOptions:
    """What decides on a CUDA device which kernels run. Each is ``off`` or ``on`` where nothing else is said.

    ``tf32``: float32 products of 10-bit mantissas; ``default``: as torch has it (on in convolutions, off in matrix
    products). ``cublas_workspace``: the value of CUBLAS_WORKSPACE_CONFIG, read when cuBLAS loads; ``default``: as the
    caller's environment has it. ``deterministic``: torch.use_deterministic_algorithms, which for cuBLAS needs a
    workspace. ``cuda_graphs``: the network recorded once for each N, and replayed.
    """

    tf32: str = "off"
    cudnn_benchmark: str = "off"
    deterministic: str = "off"
    cublas_workspace: str = "default"
    cuda_graphs: str = "off"

    def __str__(self) -> str:
        """What is not as it is by default, in words: ``tf32 on, cuda graphs on``; empty where all is."""
        names = (one.name for one in fields(self) if getattr(self, one.name) != one.default)
        return ", ".join(f"{name.replace('_', ' ')} {getattr(self, name)}" for name in names)


@dataclass(frozen=True)
class RunnerSettings:
    """The part of a condition that an engine is opened with. ``cuda``: None on the CPU."""

    threads: int
    memory_format: str = "contiguous"
    device: str = "cpu"
    cuda: CudaOptions | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> RunnerSettings:
        """The settings from their JSON-ready form."""
        options = data.get("cuda")
        return cls(**{**data, "cuda": None if options is None else CudaOptions(**options)})


@dataclass(frozen=True)
class Effective:
    """What really runs, measured after opening: not what was asked for.

    ``precision``: the type the arithmetic is done in, e.g. ``fp32`` for an fp16 graph inside casts.
    ``int8_layers``: weight layers computed by integer kernels, of ``weight_layers``. ``note``: one sentence or "".
    """

    precision: str
    provider: str
    int8_layers: int
    weight_layers: int
    note: str = ""


@runtime_checkable
class Runner(Protocol):
    """A live engine. Use as a context manager; ``run`` only between enter and exit."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """Logits [n, classes] for float32 NCHW images [n, c, h, w], in the network's own output type.

        bfloat16 comes as ``ml_dtypes.bfloat16``. The array is owned by the caller.
        """
        ...

    def effective(self) -> Effective:
        """What really runs here."""
        ...


@runtime_checkable
class Clocked(Protocol):
    """A runner whose device keeps its own time and counts its own memory, apart from the host's."""

    def timed(self, images: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        """``run``, and the seconds of the network by the device's clock: copies from and to the host are left out."""
        ...

    def device_memory(self) -> dict[str, int]:
        """The most bytes held on the device since opening, by its own counters: ``allocated`` to tensors, ``reserved``.

        Empty where the device has no counters.
        """
        ...


class OutOfMemory(Exception):
    """A device had too little memory for a call. ``reason`` is one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@runtime_checkable
class Quantized(Protocol):
    """A runner with quantized activations that can be watched."""

    def clip_shares(self, images: NDArray[np.float32]) -> dict[str, float]:
        """Per quantized layer the share (0 to 1) of activations at a clip limit that does not stand for real zero."""
        ...


@dataclass(frozen=True)
class Layer:
    """One leaf of the deployed computation: a module, or a node of the optimised graph.

    ``signature``: layers of one signature run the same kernels on the same shapes (kind, parameters' shapes, stride,
    types, input shapes of one image); their weights differ.
    """

    name: str
    kind: str  # conv2d, linear, batch-norm, add, relu, average-pool, max-pool, quantize, dequantize, flatten, ...
    signature: str


Rows = tuple[NDArray[Any], ...]
"""The tensors of one call of a layer, batch axis first, in their own types (quantized ones as their integers)."""


@runtime_checkable
class Inspectable(Protocol):
    """A runner whose layers can be watched as deployed and run again alone."""

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        """Logits of one deployed run; ``see(layer, inputs, outputs)`` gets copies for each layer, in execution order.

        The logits are bit-equal to ``run``'s, or the caller finds out: nothing is de-optimised to look inside.
        """
        ...

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """This layer alone on these inputs, with the kernels and settings of the deployed run."""
        ...


@dataclass(frozen=True)
class Canonical:
    """How a layer is run so that its rows cannot depend on N: in calls of exactly ``size`` rows, a last one padded.

    ``up_to``: calls of ``least`` to so many rows are one class with ``size`` already: they go through unchanged, and a
    last part of as many needs no padding (0: none). Fewer rows than ``least`` are padded to ``least``.
    """

    size: int
    up_to: int = 0
    least: int = 1


WHOLE = ""
"""In place of a layer's name: the network as a whole."""


@runtime_checkable
class Rewritable(Protocol):
    """A runner that can run chosen layers in a canonical shape."""

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Runner:
        """A second live runner of the same weights (shared, not copied) in which these layers follow their rules.

        ``WHOLE``, alone, stands for the whole network.

        Use it inside this runner's with block. Raises KeyError for an unknown layer, VariantUnavailable where a layer
        cannot be rewritten (say why).
        """
        ...


@runtime_checkable
class Widened(Protocol):
    """A runner whose layers can be computed in a wider type than the deployed one."""

    def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
        """This layer's operation on these inputs and with its weights, all of them converted to ``kind`` before.

        Raises NotImplementedError for a layer that has no such form, as one of integers.
        """
        ...


@dataclass(frozen=True)
class Products:
    """A layer whose output elements are sums of products: of a window of its input with one row of ``weight``.

    ``weight``: [outputs, inputs of a group, *kernel], read-only; ``bias``: [outputs]. ``stride``, ``padding`` and
    ``dilation``: one number for each axis of the kernel. Outputs are on axis 1 of a convolution, on the last otherwise.
    ``rectified``: sums below 0 are replaced by 0.
    """

    weight: NDArray[Any]
    bias: NDArray[Any] | None
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    rectified: bool = False


@runtime_checkable
class Probed(Protocol):
    """A runner whose layers can be run with other operands, to find out in which order they add up."""

    def products(self, layer: str) -> Products | None:
        """The operands of this layer; None for one that is no sum of products with a weight."""
        ...

    def with_operands(self, layer: str, inputs: Rows, weight: NDArray[Any], bias: NDArray[Any] | None) -> Rows:
        """``replay`` with another weight and bias of the same shapes: the same kernel, and the layer is unchanged."""
        ...


@runtime_checkable
class Logged(Protocol):
    """A runner whose libraries say which implementation they run."""

    def kernels(self, layer: str, inputs: Rows) -> tuple[str, ...]:
        """The implementations that ran for this call, in the libraries' own words; empty if they say nothing."""
        ...


@runtime_checkable
class Threaded(Protocol):
    """A runner whose layers can be replayed by one thread."""

    def one_thread(self) -> AbstractContextManager[None]:
        """Inside this block ``replay`` uses one thread."""
        ...


@runtime_checkable
class Provocable(Protocol):
    """A runner with integer layers whose rare rounding differences can be provoked."""

    def provoke(self, layer: str, batch: int, seed: int) -> tuple[int, int]:
        """(elements that differ between N = 1 and N = ``batch``, elements tried) with every channel of this layer moved
        within 2 ULP of a rounding tie: the same kernels and shapes, other biases. The layer itself is unchanged.
        """
        ...


@dataclass(frozen=True)
class Accumulators:
    """What an integer layer sums exactly, and the numbers with which its float epilogue makes codes of that.

    The real value of an output is the sum of ``exact[i] * input_scales[i]``, times ``weight_scales``, plus ``bias``.
    Its code is that value over ``output_scale``, plus ``zero_point``, rounded, and kept within ``low`` to ``high``.
    """

    exact: tuple[NDArray[np.int64], ...]  # [n, channels, ...] each: one of a product, two of an addition
    input_scales: tuple[float, ...]
    input_zero_points: tuple[int, ...]  # already subtracted in ``exact``
    weight_scales: NDArray[np.float64]  # these two can be broadcast to ``exact``
    bias: NDArray[np.float64]
    output_scale: float
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class IntegerCall:
    """Output codes [n, ...] of the same rows run alone and together, and what both were made from."""

    singles: NDArray[Any]
    batched: NDArray[Any]
    accumulators: Accumulators


Crafted = Literal["ties", "middles", "extremes", "tame"]


@runtime_checkable
class Integer(Protocol):
    """A runner with integer layers of fixed scales whose exact sums can be had."""

    def accumulators(self, layer: str, inputs: Rows) -> Accumulators | None:
        """The exact sums of this layer on these rows; None for a layer that is none of integers with fixed scales."""
        ...

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        """Rows made for this layer's kernels and shapes, run alone and ``batch`` together; None where there are none.

        ``ties``: as ``Provocable`` has them. ``middles``: the same, half a step away from every tie. ``extremes``:
        inputs of 255 and weights of 127 and -128, scaled so that every exact result lies well inside of the range.
        ``tame``: the same weights, and inputs of 127, so that no two products leave 16 bits.
        """
        ...


@runtime_checkable
class Reproducible(Protocol):
    """A runner whose layers can be taken out into a script of their own."""

    def case(self, layer: str, inputs: Rows) -> Case:
        """This layer on these rows, with all a script needs. Raises NotImplementedError where that cannot be told."""
        ...


@runtime_checkable
class ReproducibleTies(Protocol):
    """A runner whose integer layers can be taken out as they are on rounding ties."""

    def provoked_case(self, layer: str, batch: int, seed: int) -> Case | None:
        """The layer of ``Provocable.provoke`` for ``batch`` images; None where it cannot be moved to ties."""
        ...
