"""Small networks with planted divergences, and the evidence a worker would bring back from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.words import Artifact, Manifest
from isobatch.pipeline.evidence.evidence import Evidence, Pass, kept_rows
from isobatch.pipeline.evidence.plan import plan_passes
from isobatch.pipeline.records.study import Condition

OUTLIER = -1
Network = Callable[[list[int], int], NDArray[Any]]
"""From the images of one batch (by index, or OUTLIER) and the round to its rows."""

CONDITION = Condition(threads=2, image_size=8)
NO_ARTIFACT = Artifact("", Path(), Manifest({}, 0))


def table(n_images: int = 6, classes: int = 7, dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    """Logits with a margin of at least 1 each: top-1 is image modulo classes. The row after the last: the outlier's."""
    rows = np.random.default_rng(seed).uniform(-1, 1, (n_images + 1, classes))
    rows[np.arange(n_images + 1), np.arange(n_images + 1) % classes] = 2.5
    return rows.astype(dtype)


def faithful(rows: NDArray[Any]) -> Network:
    """Every image's row whatever the batch."""
    return lambda batch, _: rows[batch].copy()


def one_ulp_when_batched(rows: NDArray[Any], image: int = 0) -> Network:
    """One image's first logit moves to the next representable value when it is not alone."""

    def network(batch: list[int], _: int) -> NDArray[Any]:
        out = rows[batch].copy()
        if len(batch) > 1 and image in batch:
            out[batch.index(image), 0] = np.nextafter(out[batch.index(image), 0], out.dtype.type(np.inf))
        return out

    return network


def noise_by_size(rows: NDArray[Any], noise: Mapping[int, float], images: Sequence[int] | None = None) -> Network:
    """Adds ``noise[N]`` to the last logit of the given images (all by default)."""

    def network(batch: list[int], _: int) -> NDArray[Any]:
        out = rows[batch].copy()
        for place, image in enumerate(batch):
            if images is None or image in images:
                out[place, -1] += out.dtype.type(noise.get(len(batch), 0.0))
        return out

    return network


def swapped_rows(rows: NDArray[Any]) -> Network:
    """The first two rows of a batch change places: the output belongs to another image."""

    def network(batch: list[int], _: int) -> NDArray[Any]:
        out = rows[batch].copy()
        if len(batch) > 1:
            out[[0, 1]] = out[[1, 0]]
        return out

    return network


def neighbour_leak(rows: NDArray[Any]) -> Network:
    """Only beside the outlier do the rows change."""
    return lambda batch, _: rows[batch] + rows.dtype.type(OUTLIER in batch)


def place_dependent(rows: NDArray[Any]) -> Network:
    """The row at place 0 of a batch gains a little where its images are out of order: only rotation shows it."""

    def network(batch: list[int], _: int) -> NDArray[Any]:
        out = rows[batch].copy()
        out[0] += out.dtype.type(0.25 * (batch[0] > batch[-1] >= 0))
        return out

    return network


def constant(rows: NDArray[Any]) -> Network:
    """One and the same row for every image."""
    return lambda batch, _: rows[[0] * len(batch)]


def with_nan(rows: NDArray[Any], from_size: int = 2) -> Network:
    """NaN in the first logit of every row of batches from that size on."""

    def network(batch: list[int], _: int) -> NDArray[Any]:
        out = rows[batch].copy()
        if len(batch) >= from_size:
            out[:, 0] = np.nan
        return out

    return network


def unrepeatable(rows: NDArray[Any]) -> Network:
    """The second round gives other bytes when batched."""
    return lambda batch, round_: rows[batch] + rows.dtype.type(round_ * (len(batch) > 1))


def run(
    network: Network,
    n_images: int = 6,
    batch_sizes: Sequence[int] = (2, 4),
    *,
    round_: int = 0,
    probes: bool = True,
    passes: Sequence[Pass] | None = None,
    clips: Mapping[str, tuple[int, int]] | None = None,
    inputs: str = "seed",
) -> Evidence:
    """The evidence of a fake network, run as a worker runs a real one."""
    planned = tuple(passes) if passes is not None else plan_passes(n_images, batch_sizes, probes=probes)
    alone = next((chosen.images for chosen in planned if chosen.kind == "singles"), range(n_images))
    singles = np.concatenate([network([image], round_) for image in alone])
    rows = {chosen.id: (np.arange(len(singles)), singles) for chosen in planned if chosen.kind == "singles"}
    for chosen in planned:
        if chosen.kind != "singles":
            rows[chosen.id] = kept_rows(singles, alone[0], chosen, _through(network, chosen, round_))
    call_s = {chosen.id: (0.01,) * ((chosen.stop - chosen.start) // chosen.batch_size) for chosen in planned}
    return Evidence("fake", inputs, round_, planned, rows.__getitem__, call_s, {}, clips, 0, {})


def _through(network: Network, chosen: Pass, round_: int) -> NDArray[Any]:
    kept = []
    for start in range(chosen.start, chosen.stop, chosen.batch_size):
        batch = list(range(start, start + chosen.batch_size))
        if chosen.kind == "position":
            kept.append(np.roll(network([*batch[-1:], *batch[:-1]], round_), -1, axis=0))
        elif chosen.kind == "copies":
            kept.append(network(batch[:1] * chosen.batch_size, round_))
        elif chosen.kind == "neighbours":
            kept.append(network([*batch[:-1], OUTLIER], round_)[:-1])
        else:
            kept.append(network(batch, round_))
    return np.concatenate(kept)
