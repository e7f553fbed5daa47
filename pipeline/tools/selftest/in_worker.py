"""What runs inside a worker of the self-test: look into a planted network, or into many without a fault."""

from __future__ import annotations

import time
from typing import Any

from isobatch.models.planted import RESNET50, find_fault
from isobatch.models.registry import load
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.origins import explain_origins
from isobatch.pipeline.workers.wire import Emit

SIZES = (2, 3, 4)
_INNOCENT_SIZES = (2, 3)
_NETWORKS = "isobatch.models.planted.networks"


def examine(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Locate and explain the origins of one planted network, as a study would.

    Returns the named layers, the explanation of the one that holds the fault (None where it was not named), and how
    many elements were compared.
    """
    start = time.monotonic()
    fault, threads, seed = find_fault(payload["fault"]), payload["threads"], payload["seed"]
    sizes = SIZES[:-1] if fault.network == RESNET50 else SIZES
    images = load(f"{_NETWORKS}:pixels")(max(sizes), seed, fault.network)
    with load(f"{_NETWORKS}:open_planted")(fault, threads, seed) as runner:
        located = locate(runner, images, sizes, seed)
        explained = explain_origins(runner, located, images, threads, seed)
    origins = {name: one for name, one in located.findings.items() if one.batch_sizes}
    at = explained.get(fault.layer)
    return {
        "layers": len(located.findings),
        "named": list(origins),
        "found_by": origins[fault.layer].found_by if fault.layer in origins else None,
        "differing": sum(origins[fault.layer].differing.values()) if fault.layer in origins else 0,
        "tried": located.findings[fault.layer].tried if fault.layer in located.findings else 0,
        "explained": None if at is None else at.to_json(),
        "seconds": time.monotonic() - start,
    }


def innocents(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Look for origins in networks of random design in which no layer depends on N. Returns whom it accused."""
    accused: list[dict[str, Any]] = []
    layers = tried = 0
    for seed in range(payload["seed"], payload["seed"] + payload["trials"]):
        images = load(f"{_NETWORKS}:pixels")(max(_INNOCENT_SIZES), seed)
        with load(f"{_NETWORKS}:open_innocent")(payload["threads"], seed) as runner:
            found = locate(runner, images, _INNOCENT_SIZES, seed).findings
        names = [name for name, one in found.items() if one.batch_sizes]
        accused += [{"seed": seed, "layers": names}] if names else []
        layers += len(found)
        tried += sum(one.tried for one in found.values())
        emit({"trials": 1})
    return {"accused": accused, "layers": layers, "tried": tried}
