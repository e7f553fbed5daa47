"""A tiny numpy classifier whose rows cannot depend on the batch, and the faults that spoil it."""

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import Artifact, Effective, Manifest, RunnerSettings, VariantSpec, VariantUnavailable

CLASSES, PATCHES = 10, 4
WEIGHTS = "weights.f32"
HOSTILE = "two\nlines, \x1b[31mred\x1b[0m, <script>alert(1)</script>"
Rows = NDArray[Any]


def build(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    if spec.recipe["fault"] == "unavailable":
        raise VariantUnavailable("this machine has no such engine", "install the engine")
    weights = np.random.default_rng(0).standard_normal((CLASSES, 3 * PATCHES**2), np.float32)
    magenta = np.repeat(np.float32([1, -1, 1]), PATCHES**2)
    weights[2], weights[5] = magenta, -magenta  # the classes that the small network gives magenta and green
    weights.tofile(folder / WEIGHTS)
    if spec.recipe["fault"] == "build-crash":
        segfault(weights)
    return Manifest(recipe=spec.recipe, size_bytes=weights.nbytes)


class Tiny:
    """The mean of each of 4 x 4 patches, times a matrix: one image after the other, so no kernel sees the batch."""

    def __init__(self, artifact: Artifact, settings: RunnerSettings) -> None:
        self._weights = np.fromfile(artifact.folder / WEIGHTS, np.float32).reshape(CLASSES, -1)
        self._spoil: Callable[[Rows], Rows] = FAULTS.get(artifact.manifest.recipe["fault"], lambda rows: rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run(self, images: NDArray[np.float32]) -> Rows:
        n, channels, height, width = images.shape
        patches = images.reshape(n, channels, PATCHES, height // PATCHES, PATCHES, width // PATCHES)
        return self._spoil(np.stack([self._weights @ one.mean(axis=(2, 4)).ravel() for one in patches]))

    def effective(self) -> Effective:
        return Effective("fp32", "numpy", 0, 1)


def segfault(rows: Rows) -> Rows:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
    return rows


def killed(rows: Rows) -> Rows:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
    return rows


def hang(rows: Rows) -> Rows:
    """For hours, or until the file is there that ``FAULTY_GO`` names."""
    go = os.environ.get("FAULTY_GO")
    end = time.monotonic() + 2 * 3600
    while time.monotonic() < end and not (go and Path(go).exists()):
        time.sleep(0.02)
    return rows


def memory(rows: Rows) -> Rows:
    return np.frombuffer(bytes(1 << 62))


def allocator(rows: Rows) -> Rows:
    """Ask a runtime's own allocator for four terabytes."""
    import onnxruntime
    from onnx import TensorProto, helper

    node = helper.make_node("ConstantOfShape", ["shape"], ["values"])
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [1])
    values = helper.make_tensor_value_info("values", TensorProto.FLOAT, None)
    made = helper.make_model(helper.make_graph([node], "", [shape], [values]), ir_version=8)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"shape": np.array([1 << 40])})[0])


def exhausted(rows: Rows) -> Rows:
    raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB")


def exhausted_by_two(rows: Rows) -> Rows:
    """With two threads only, so that another part of the variant's plan can be done."""
    return exhausted(rows) if os.environ["OMP_NUM_THREADS"] == "2" else rows


def raises(rows: Rows) -> Rows:
    raise ValueError(HOSTILE)


def nan(rows: Rows) -> Rows:
    rows[0, 3] = np.nan
    return rows


def last_bit(rows: Rows) -> Rows:
    noise = np.frombuffer(os.urandom(rows.size), np.uint8).reshape(rows.shape)
    return (rows.view(np.uint32) ^ (noise & 1)).view(np.float32)


FAULTS: dict[str, Callable[[Rows], Rows]] = {
    "segfault": segfault,
    "exit": lambda rows: os._exit(7),
    "killed": killed,
    "hang": hang,
    "memory": memory,
    "allocator": allocator,
    "exhausted": exhausted,
    "exhausted-by-two": exhausted_by_two,
    "raises": raises,
    "nan": nan,
    "inf": lambda rows: rows * np.float32(np.inf if len(rows) > 1 else 1),
    "constant": np.ones_like,
    "rotated": lambda rows: np.roll(rows, 1, axis=0),  # another image's row
    "negated": lambda rows: rows if len(rows) == 1 else -rows,  # each image's top-1 changes with N
    "neighbours": lambda rows: rows + rows.sum(axis=0),
    "random": last_bit,
    "three-axes": lambda rows: rows[:, :, np.newaxis],
    "too-few": lambda rows: rows[:1],
    "no-classes": lambda rows: rows[:, :0],
    "other-classes": lambda rows: np.repeat(rows, len(rows), axis=1),
    "text": lambda rows: rows.astype(str),
}
