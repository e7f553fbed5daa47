"""The device of a study, and the settings that only a GPU has, from flags and grid."""

from __future__ import annotations

import argparse
import difflib
import itertools

from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.config.grid import CUDA_AXES, Axes, words
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import listed

DEVICES = ("cpu", "cuda")


def read_device(arguments: argparse.Namespace) -> str:
    """The device asked for. Raises UsageError where it is none, or not one of the engine."""
    text: str = arguments.device
    if text not in DEVICES:
        near = difflib.get_close_matches(text, DEVICES, n=1, cutoff=0.0)[0]
        known = listed(DEVICES)
        raise UsageError("unknown-device", f"--device {text!r}: did you mean {near!r}? Studies run on {known}")
    if text != "cpu" and arguments.engine == "ray":
        raise UsageError("usage", f"--engine ray runs on processors only: --device {text} needs --engine local")
    return text


def cuda_options(axes: Axes) -> tuple[CudaOptions, ...]:
    """Every combination of the CUDA axes, without those in which cuBLAS refuses to work."""
    values = [words(axis, axes[axis], known) for axis, known in CUDA_AXES.items()]
    found = (CudaOptions(*one) for one in itertools.product(*values))
    able = tuple(one for one in found if one.deterministic == "off" or one.cublas_workspace != "default")
    if not able:
        raise UsageError(
            "bad-grid", "deterministic = on needs cublas_workspace = :4096:8 or :16:8: without, cuBLAS refuses to work"
        )
    return able
