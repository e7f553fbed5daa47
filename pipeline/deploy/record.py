"""The verification record of a deployment and its settings: what a shipped folder promises, as data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from isobatch.models.shared.regular_files import read_object
from isobatch.models.spec.outcome import OutcomeKind
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Environment, Real, Record, Repair

RECORD_FILE, SETTINGS_FILE, CARD_FILE, INPUTS_FILE = "record.json", "settings.json", "MODEL_CARD.md", "images.npy"
MODEL_FILES = ("weights.safetensors", "network.json", "layers.json", "repair.json", "model.onnx")
"""All that an artifact may consist of: numbers and graphs, no code."""

SHA = r"^[0-9a-f]{64}$"
_IMAGES = r"^images(-[A-Za-z0-9_-]{1,60})?\.np[yz]$"
_MOST_BYTES = 4 << 20  # of a record
SCHEMA_VERSION: Final = 2
_WHAT = "the record.json that deploy or repair wrote"
_CAP = r"^[A-Za-z0-9_,:]{1,40}$"


class StoredFile(Record):
    """A file of the folder by its content."""

    file: Literal["weights.safetensors", "network.json", "layers.json", "repair.json", "model.onnx"]
    sha256: str = Field(pattern=SHA)
    size_bytes: int = Field(ge=0)


class Preprocessing(Record):
    """From a picture to the network's input, as ``isobatch.models.spec.images.View`` says it at one height and width.

    The picture is resized so that its short side has ``short_sides`` pixels (of height and width), or to the (height,
    width) of ``resize_to``; the centre is cut out; then (pixel x scale - mean) / std.
    """

    height: int = Field(ge=1, le=65536)
    width: int = Field(ge=1, le=65536)
    short_sides: tuple[int, int]
    resize_to: tuple[int, int] | None = None
    forced: bool = False  # a picture that has the size already is resized and cut all the same
    interpolation: Literal["bilinear", "bicubic", "nearest"]
    mean: tuple[Real, ...]
    std: tuple[Real, ...]
    scale: Real | None = None  # None: 1 / 255
    channel_order: Literal["rgb", "bgr"] = "rgb"


class ServedInput(Record):
    """One of the arrays that a network takes."""

    name: str = Field(max_length=200)
    dtype: Literal[
        "float16",
        "float32",
        "float64",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "uint64",
        "int64",
        "bool",
    ]
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(max_length=8)  # of one image, as verified


class Serving(Record):
    """``settings.json``: what the loader sets."""

    runtime: Literal["torch", "onnxruntime"]
    threads: int = Field(ge=1, le=1024)
    streams: int = Field(default=1, ge=1, le=1024)
    largest_batch: int = Field(ge=1, le=4096)  # larger calls are split
    batch_size: int = Field(ge=1, le=4096)  # at which it is cheapest here
    shape: tuple[int, ...] = Field(max_length=8)  # of one image, as verified: channels, height, width
    # Of a network that takes other arrays than pictures; ``shape`` is then that of the first.
    inputs: tuple[ServedInput, ...] = Field(default=(), max_length=64)
    # Where the batch was in the file that it was made from; here it is the first axis.
    batch_axes: dict[Annotated[str, Field(max_length=200)], int] = Field(default={}, max_length=64)
    # How it takes pictures where not as ``NCHW float32``.
    fed: str = Field(default="", pattern=r"^(|(NCHW|NHWC) [a-z0-9]{3,8})$")
    outcome: OutcomeKind = "classes"  # what its answer is
    type: Literal["float64", "float32", "float16", "bfloat16"] = "float32"
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    engine: str = Field(default="x86", pattern=r"^[a-z0-9]{1,20}$")
    optimise: bool = True
    # Documented switches of the library that are turned for it.
    switches: dict[
        Literal[
            "deterministic_algorithms",
            "mkldnn",
            "mkldnn_deterministic",
            "matmul_precision",
            "deterministic",
            "level",
            "spinning",
        ],
        bool | Annotated[str, Field(pattern=_CAP)],
    ] = Field(default={})
    compiled: bool = False  # torch.compile makes code of it where it is loaded
    # Caps on instruction sets that it was measured under.
    environment: dict[
        Literal[
            "ATEN_CPU_CAPABILITY",
            "ONEDNN_MAX_CPU_ISA",
            "DNNL_MAX_CPU_ISA",
            "MKL_ENABLE_INSTRUCTIONS",
            "MKL_CBWR",
            "FBGEMM_ENABLE_INSTRUCTIONS",
        ],
        Annotated[str, Field(pattern=_CAP)],
    ] = Field(default={})
    preprocessing: Preprocessing | None  # None where it takes no pictures
    preprocessing_measured: bool  # False: the images of the study came as an array, and pictures were never read

    def text(self) -> bytes:
        """The bytes of ``settings.json``."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


class StoredInputs(Record):
    """The images that the claims were checked on: an .npy file [n, ...], or an .npz file, an array for each input."""

    name: str = Field(max_length=200)
    file: str = Field(pattern=_IMAGES)
    sha256: str = Field(pattern=SHA)
    n: int = Field(ge=1)
    # So many of them, the last ones, are no images but noise: the set had too few to fill the largest batch.
    drawn: int = Field(default=0, ge=0)


class Output(Record):
    """The SHA-256 of the output bytes of all images of a set, in order, run ``batch_size`` at a time."""

    inputs: str
    threads: int = Field(ge=1, le=1024)
    batch_size: int = Field(ge=1, le=4096)
    sha256: str = Field(pattern=SHA)


class VerificationRecord(Record):
    """What was verified of a deployment, where, and at what price."""

    kind: Literal["isobatch-verification"] = "isobatch-verification"
    schema_version: Literal[2] = SCHEMA_VERSION
    tool_version: str
    created_utc: str
    variant: str
    model: str
    weights_sha256: str
    run: str | None = None  # the study it was shipped from
    files: list[StoredFile] = Field(min_length=1)
    serving: Serving
    inputs: list[StoredInputs] = Field(min_length=1, max_length=64)
    batch_invariant: bool  # claimed over every N of ``outputs``
    outputs: list[Output] = Field(min_length=1, max_length=65536)
    n_comparisons: int
    repair: Repair | None = None
    environment: Environment

    @property
    def batch_sizes(self) -> list[int]:
        """Every N of the outputs."""
        return sorted({output.batch_size for output in self.outputs})

    @property
    def threads(self) -> list[int]:
        """Every thread count of the outputs."""
        return sorted({output.threads for output in self.outputs})

    def of(self, inputs: str, threads: int) -> dict[int, str]:
        """The outputs' sums by N."""
        return {o.batch_size: o.sha256 for o in self.outputs if (o.inputs, o.threads) == (inputs, threads)}


def _read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a small regular file from outside. Raises UsageError with the reason."""
    try:
        return read_object(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError("record", f"cannot read {path}: {error.strerror or error}. Give {_WHAT}") from error
    except ValueError as error:
        raise UsageError("record", f"{path} is damaged: {error}. Give {_WHAT}") from error


def read_record(path: Path) -> VerificationRecord:
    """A record from outside. Raises UsageError for one that is damaged, or names files that are not beside it."""
    file = path / RECORD_FILE if path.is_dir() else path
    record = _as_record(file, _read_json(file))
    _require_beside(file, [*(s.file for s in record.files), *(stored.file for stored in record.inputs)])
    if unknown := {output.inputs for output in record.outputs} - {stored.name for stored in record.inputs}:
        raise UsageError("record", f"the record has outputs of {sorted(unknown)[0]!r}, and no such images")
    if record.batch_sizes[-1] > record.serving.largest_batch:
        raise UsageError("record", f"{file} has outputs of N = {record.batch_sizes[-1]}, which its loader splits")
    for stored in record.inputs:
        for threads in record.threads:
            if (sums := record.of(stored.name, threads)) and 1 not in sums:
                raise UsageError("record", f"the record has no outputs of single images of {stored.name!r}")
    return record


def _as_record(file: Path, content: dict[str, Any]) -> VerificationRecord:
    if content.get("schema_version") == 1:
        raise UsageError(
            "record",
            f"{file} has a form of before the first release (schema version 1), which is no longer read: make it anew "
            "with repair or deploy",
        )
    if isinstance(newer := content.get("schema_version"), int) and newer > SCHEMA_VERSION:
        reads = f"this program reads {SCHEMA_VERSION}: use the version that wrote it"
        raise UsageError("record", f"{file} is of schema version {newer}, and {reads}")
    try:
        return VerificationRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise UsageError("record", f"{file} is no verification record: {where}: {first['msg']}") from error


def _require_beside(record: Path, names: Sequence[str]) -> None:
    """Raise UsageError unless these are plain files beside the record."""
    for name in names:
        file = record.parent / name
        if not file.is_file() or file.is_symlink():
            raise UsageError(
                "record", f"{record} names {name}, and there is no such plain file beside it: copy it there"
            )
