"""Whether an exported graph answers as torch does: how far apart the two are, and how far torch is from itself."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.ort.check_user_file import OnnxError
from isobatch.models.ort.session import open_session

if TYPE_CHECKING:
    import torch

BothWays = tuple[NDArray[Any], NDArray[Any]]
"""One output for two rows: both together, and each alone."""


def difference_on_images(path: Path, net: torch.nn.Module, size: tuple[int, int], channels: int = 3) -> float:
    """``difference`` of two random images. The graph runs first: where it does not, torch is not asked."""
    import torch

    images = _random_images(size, channels)
    try:
        answers = answers_of(path, {"images": images})
    except OnnxError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise OnnxError(
            f"{path.name} loads but cannot run one and two images of {size[0]} x {size[1]} pixels: {error}; "
            "a fixed number may be inside the graph: export it with free batch, height and width"
        ) from error
    with torch.inference_mode():
        return difference(answers, [net(torch.from_numpy(images)).numpy()])


def answers_of(path: Path, given: Mapping[str, NDArray[Any]]) -> list[BothWays]:
    """What the graph gives for two rows by input. Raises OnnxError where other rows come back, and what onnxruntime
    raises.
    """
    session = open_session(path, threads=len(os.sched_getaffinity(0)), quiet=True)
    rows = [{key: array[i : i + 1] for key, array in given.items()} for i in range(2)]
    alone = [np.concatenate(parts) for parts in zip(*(session.run(None, row) for row in rows), strict=True)]
    answers = list(zip(session.run(None, dict(given)), alone, strict=True))
    for both in answers:
        counts = [len(answer) for answer in both]
        if counts != [2, 2]:
            raise OnnxError(f"{path.name} gives {counts[1]} and {counts[0]} rows for two images; it must give two")
    return answers


def difference(answers: Sequence[BothWays], expected: Sequence[NDArray[Any]]) -> float:
    """The largest |ONNX - torch| over the largest |torch| of any output; NaN where a NaN is in either."""
    apart = [0.0]
    for exact, both in zip(expected, answers, strict=True):
        scale = float(np.abs(exact).max(initial=0)) or 1.0
        apart += [float(np.abs(answer - exact.astype(np.float64)).max(initial=0)) / scale for answer in both]
    return float(np.max(apart))


def own_error(net: torch.nn.Module, size: tuple[int, int], channels: int) -> float:
    """The same of torch in float32 against float64: what rounding alone does in this network.

    0 of a network that makes float32 numbers of its own inside, so that it does not run in float64.
    """
    import torch

    images = torch.from_numpy(_random_images(size, channels))
    with torch.inference_mode():
        try:
            exact = copy.deepcopy(net).double()(images.double())
        except RuntimeError:
            return 0.0
        own = torch.stack([net(images), torch.cat([net(images[i : i + 1]) for i in range(2)])])
    return float((own.double() - exact).abs().max()) / (float(exact.abs().max()) or 1.0)


def _random_images(size: tuple[int, int], channels: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((2, channels, *size), np.float32)
