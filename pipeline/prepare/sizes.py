"""Which input sets a network takes: found out before anything is measured, and kept for later studies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from isobatch.models.spec.artifact_cache import key_of
from isobatch.models.spec.words import Network
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import toolchain
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.errors import StoreError, UsageError, WorkerError
from isobatch.pipeline.storage.files import read_json, write_json


def fitting(stages: Stages, sets: tuple[PreparedSet, ...]) -> tuple[PreparedSet, ...]:
    """The sets whose images the network takes; the others are left out with a warning. Raises UsageError for none."""
    network = stages.network
    assert network is not None
    sizes = list(dict.fromkeys(one.evaluation.shape[2:] for one in sets))
    refused = dict(zip(sizes, _refusals(stages, network, sizes), strict=True))
    told = {size: f"{network.model} takes no images of {size[0]} x {size[1]}: {why}" for size, why in refused.items()}
    kept = tuple(one for one in sets if refused[one.evaluation.shape[2:]] is None)
    if not kept:
        why = next(iter(told.values()))
        raise UsageError("unfit-size", f"{why}. Give --image-size {network.size[0]}, or images of a size that it takes")
    for one in sets:
        if one not in kept:
            stages.warn("set-left-out", f"{one.record.name} is left out: {told[one.evaluation.shape[2:]]}")
    if network.onnx_path:
        stages.network = replace(network, size=kept[-1].evaluation.shape[2:])
    return kept


def _refusals(stages: Stages, network: Network, sizes: Sequence[tuple[int, ...]]) -> list[str | None]:
    """For each size why the network takes no images of it, or None. What torch answers, after seconds, is kept."""
    asked = {"model": network.model, "num_classes": network.num_classes, "sizes": sizes, "onnx": network.onnx_path}
    checked = {"onnx_sha256": network.onnx_sha256}

    def ask() -> list[str | None]:
        try:
            return answered()
        except WorkerError as error:
            if error.kind == "launcher":
                raise
            text = f"{network.model} cannot be run on images of {sizes[0][0]} x {sizes[0][1]}: {error.reason}"
            raise UsageError("onnx" if network.onnx_path else "weights", text) from error

    def answered() -> list[str | None]:
        found: list[str | None] = stages.call(
            "isobatch.pipeline.prepare.in_worker:refused_sizes", asked | checked, "inputs"
        )
        return found

    if network.onnx_path:  # its weights may lie in several files; it answers at once
        return ask()
    kept = stages.cache / "sizes" / f"{key_of({**asked, 'toolchain': toolchain()})[:32]}.json"
    try:
        known = read_json(kept)["refusals"]
        if len(known) == len(sizes) and all(why is None or isinstance(why, str) for why in known):
            return list(known)
    except (StoreError, KeyError, TypeError):  # not asked yet, or damaged
        pass
    found = ask()
    with suppress(StoreError):  # a cache that cannot be written to is no reason to fail: it is asked again
        write_json(kept, {"refusals": found})
    return found
