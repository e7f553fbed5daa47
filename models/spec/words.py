"""The words between a variant's description and a live engine: specs, artifacts, runners. Imports no runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from isobatch.models.spec.plain import Plain

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
    runtime: Literal["torch", "onnxruntime", "openvino"]
    precision: str
    summary: str
    build: str
    open: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    role: Literal["candidate", "reference"] = "candidate"
    optional: bool = False  # not among ``all``
    extra: str = ""  # the extra that brings ``requires``; among ``all`` where it is installed
    calibrated: bool = False  # static scales: one artifact per input set, calibrated on that set's calibration part
    requires: tuple[str, ...] = ()  # distributions beyond requirements.txt, e.g. ("torchao==0.18.0",)
    compiled: bool = False  # it is compiled where it is opened, by a C++ compiler
    # Processor features (the kernel's words), one of which this arithmetic needs: without any it is emulated, too slow
    # for more than a few images, and the study measures only those.
    native_isa: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)  # where it can run; under another ``--device`` it stays on the CPU


class Family:
    """A table of variants, and its place (``order``) among the tables: a plug-in of ``models/variants``."""

    def __init__(self, *rows: VariantSpec, order: int) -> None:
        self.rows, self.order = rows, order


class Remark(NamedTuple):
    """A warning that a report carries: its code, and its text for the user."""

    code: str
    text: str


USERS_FILE = "the user's file"
"""In the recipe of an artifact, the exporter of a graph that came from outside."""


@dataclass(frozen=True)
class Network:
    """The network under study: an architecture by name with a complete, verified state dict, or an ONNX file."""

    model: str
    weights_path: str  # safetensors with the complete float32 state dict
    weights_sha256: str
    num_classes: int  # 0: an ONNX file that leaves it free
    onnx_path: str | None = None
    onnx_sha256: str | None = None  # of the checked copy at ``onnx_path``; None where nobody has checked it yet
    size: tuple[int, int] = (224, 224)  # height and width of images that it surely takes


@dataclass(frozen=True)
class Manifest(Plain):
    """What a builder says of what it built."""

    # For int8 the observer, granularity, symmetry, reduce_range and types, as plain JSON values.
    recipe: Mapping[str, Any]
    size_bytes: int  # of what a deployment would ship (weights and graph)
    notes: tuple[str, ...] = ()  # surprises worth a line in the report


@dataclass(frozen=True)
class Artifact(Plain):
    """A built variant on disk: ``folder`` holds only safetensors, JSON and ONNX files."""

    key: str  # 64 hex: of spec, weights, calibration and toolchain
    folder: Path
    manifest: Manifest


@dataclass(frozen=True)
class CudaOptions:
    """What decides on a CUDA device which kernels run. Each is ``off`` or ``on`` where nothing else is said.

    ``tf32``: float32 products of 10-bit mantissas; ``default``: as torch has it (on for convolutions alone).
    ``deterministic``: torch.use_deterministic_algorithms, which for cuBLAS needs a workspace.
    ``cublas_workspace``: CUBLAS_WORKSPACE_CONFIG, read when cuBLAS loads; ``default``: that of the environment.
    ``cuda_graphs``: the network recorded once for each N, and replayed.
    """

    tf32: str = "off"
    cudnn_benchmark: str = "off"
    deterministic: str = "off"
    cublas_workspace: str = "default"
    cuda_graphs: str = "off"

    def __str__(self) -> str:
        """What is not as it is by default, in words: ``tf32 on, cuda graphs on``; empty where all is."""
        names = (named.name for named in fields(self) if getattr(self, named.name) != named.default)
        return ", ".join(f"{name.replace('_', ' ')} {getattr(self, name)}" for name in names)


@dataclass(frozen=True)
class RunnerSettings(Plain):
    """The part of a condition that an engine is opened with."""

    threads: int
    memory_format: str = "contiguous"
    device: str = "cpu"
    cuda: CudaOptions | None = None  # None on the CPU


@dataclass(frozen=True)
class GraphMade:
    """One graph that was compiled for a network."""

    images: str  # how many it takes: ``1``, ``2 to 15``, ``any``
    size: tuple[int, ...]  # height and width of each
    seconds: float
    # The libraries' operations that its code calls, by name, and under ``C++`` the kernels that were written for it.
    operations: Mapping[str, int]


@dataclass(frozen=True)
class Effective:
    """What really runs, measured after opening: not what was asked for."""

    precision: str  # the type the arithmetic is done in, e.g. ``fp32`` for an fp16 graph inside casts
    provider: str
    int8_layers: int  # weight layers computed by integer kernels, of ``weight_layers``
    weight_layers: int
    note: str = ""  # one sentence or ""
    graphs: tuple[GraphMade, ...] = ()  # those that were compiled, in the order in which calls needed them


class OutOfMemory(Exception):
    """A device had too little memory for a call. Its text is one line."""
