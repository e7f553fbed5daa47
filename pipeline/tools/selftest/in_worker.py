"""What runs inside a worker of the self-test: look into a planted network, or into many without a fault."""

import time
from typing import Any

from isobatch.models.planted import RESNET50, find_fault
from isobatch.models.registry import load
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.origins import explain_origins
from isobatch.pipeline.processes.wire import Emit, Told
from isobatch.pipeline.tools.selftest.crossing import Accused, Examined, FaultAsked, Innocence, InnocentsAsked

SIZES = (2, 3, 4)
_INNOCENT_SIZES = (2, 3)
_NETWORKS = "isobatch.models.planted.networks"


def examine(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Locate and explain the origins of the planted network of ``FaultAsked``, as a study would: ``Examined``."""
    start, asked = time.monotonic(), FaultAsked.of(payload)
    fault, threads, seed = find_fault(asked.fault), asked.threads, asked.seed
    sizes = SIZES[:-1] if fault.network == RESNET50 else SIZES
    images = load(f"{_NETWORKS}:pixels")(max(sizes), seed, fault.network)
    with load(f"{_NETWORKS}:open_planted")(fault, threads, seed) as runner:
        located = locate(runner, images, sizes, seed)
        explanations = explain_origins(runner, located, images, threads, seed)
    origins = {name: finding for name, finding in located.findings.items() if finding.batch_sizes}
    origin = origins.get(fault.layer)
    return Examined(
        named=tuple(origins),
        explained=explanations.get(fault.layer),
        layers=len(located.findings),
        found_by=origin.found_by if origin else None,
        differing=sum(origin.differing.values()) if origin else 0,
        tried=located.findings[fault.layer].tried if fault.layer in located.findings else 0,
        seconds=time.monotonic() - start,
    ).to_json()


def innocents(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Look for origins in the networks of ``InnocentsAsked``: ``Innocence``."""
    asked = InnocentsAsked.of(payload)
    accused: list[Accused] = []
    layers = tried = 0
    for seed in range(asked.seed, asked.seed + asked.trials):
        images = load(f"{_NETWORKS}:pixels")(max(_INNOCENT_SIZES), seed)
        with load(f"{_NETWORKS}:open_innocent")(asked.threads, seed) as runner:
            findings = locate(runner, images, _INNOCENT_SIZES, seed).findings
        names = tuple(name for name, finding in findings.items() if finding.batch_sizes)
        accused += [Accused(seed, names)] if names else []
        layers += len(findings)
        tried += sum(finding.tried for finding in findings.values())
        emit(Told(images=1).to_json())
    return Innocence(asked.trials, tuple(accused), layers, tried).to_json()
