"""What runs inside a worker to explain and repair one variant on one input set: locate, prove complete, price."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.images import Images
from models.registry import find_variant, load
from models.spec import Canonical, Rewritable, RunnerSettings, VariantUnavailable
from pipeline.locate import LayerFinding, Located, Watched, locate
from pipeline.mechanisms import Explained, explain_origins
from pipeline.repair import Verified, price, priced_sizes, verify
from pipeline.reproducer import write_reproducers
from pipeline.worker import Emit, read_artifact

LOCATE_BATCH = 8  # captured rows a layer; more data comes from drawn inputs and provoked ties


@dataclass(frozen=True)
class Attempt:
    """One list of layers run in canonical shape, what verification said, and the price where it held."""

    rules: dict[str, Canonical]
    verified: list[Verified]  # by input set
    ratios: dict[int, list[float]]

    @property
    def batch_invariant(self) -> bool:
        """It held on every input set."""
        return all(one.batch_invariant for one in self.verified)


def explain_and_repair(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Locate the origins, prove the list complete by repairing exactly those layers, and price that repair.

    Returns {"locatable": false, "why"} for a runner that cannot be looked into, else the findings as JSON values.
    """
    images = Images.from_json(payload["images"])
    sizes: list[int] = payload["batch_sizes"]
    spec = find_variant(payload["variant"])
    with load(spec.open)(read_artifact(payload["artifact"]), RunnerSettings(**payload["settings"])) as runner:
        if not isinstance(runner, Watched):
            return {"locatable": False, "why": f"the runner of {spec.name} cannot be looked into"}

        def done(count: int) -> None:
            emit({"images": count})

        count = min(len(images), max([n for n in sizes if n <= LOCATE_BATCH], default=LOCATE_BATCH))
        captured = images.read(0, count)
        located = locate(runner, captured, [n for n in sizes if n <= count], payload["seed"])
        explained = explain_origins(runner, located, captured, payload["settings"]["threads"], payload["seed"])
        folder = Path(payload["run_folder"])
        scripts = write_reproducers(runner, located, captured, spec.name, folder, payload["seed"])
        answer = {"locatable": True, "batch_sizes": [n for n in sizes if n <= count], **_as_json(located, explained)}
        answer["reproducers"] = {name: asdict(one) for name, one in scripts.items()}
        if not isinstance(runner, Rewritable):
            return answer | {"repair": None, "why": f"the runner of {spec.name} cannot be rewritten"}
        also = [Images.from_json(other) for other in payload["also"]]
        attempt = first_that_holds(runner, located, [images, *also], sizes, done)
        if attempt is None:
            return answer | {"repair": None, "why": "no layer that was found could be put in one shape"}
        return answer | {"repair": _repair_json(attempt)}


def first_that_holds(
    runner: Any, located: Located, sets: Sequence[Images], sizes: Sequence[int], done: Callable[[int], None]
) -> Attempt | None:
    """Repair the origins; if that does not hold, every layer of their kinds; then every layer. The last one tried.

    Verified on every set, priced on the first.
    """
    tried = None
    previous: set[str] = set()
    for chosen in ladder(located):
        if not chosen or chosen.keys() == previous:
            continue
        previous = set(chosen)
        try:
            rewritten = runner.with_canonical(chosen)
        except VariantUnavailable:  # some layer on this rung cannot be cut; the origins found stay reported
            continue
        with rewritten as repaired:
            tried = Attempt(chosen, [verify(runner, repaired, images, sizes, done) for images in sets], {})
            if tried.batch_invariant:
                ratios = price(runner, repaired, sets[0], priced_sizes(len(sets[0]), sizes), done)
                return replace(tried, ratios=ratios)
    return tried


def ladder(located: Located) -> list[dict[str, Canonical]]:
    """Rules for the origins; for all layers of the origins' kinds; for all layers that can be replayed."""
    origins = [f for f in located.findings.values() if f.batch_sizes]
    kinds = {f.layer.kind for f in origins}
    alike = [f for f in located.findings.values() if f.layer.kind in kinds and f.replayable]
    every = [f for f in located.findings.values() if f.replayable]
    return [_rules(origins), _rules(alike) if origins else {}, _rules(every)]


def _rules(findings: Sequence[LayerFinding]) -> dict[str, Canonical]:
    return {f.layer.name: f.rule() if f.batch_sizes else Canonical(size=1) for f in findings}


def _as_json(located: Located, explained: Mapping[str, Explained]) -> dict[str, Any]:
    findings = [
        {
            "layer": f.layer.name,
            "kind": f.layer.kind,
            "signature": f.layer.signature,
            "differing": {str(n): count for n, count in f.differing.items()},
            "batch_sizes": f.batch_sizes,
            "tried": f.tried,
            "max_abs": f.max_abs,
            "max_ulp": f.max_ulp,
            "found_by": f.found_by,
            "replayable": f.replayable,
            "explained": explained[f.layer.name].to_json() if f.layer.name in explained else {},
        }
        for f in located.findings.values()
    ]
    growth = [
        {"layer": layer, "max_abs": largest, "relative_l2": share, "steps": steps}
        for layer, largest, share, steps in located.growth
    ]
    return {"findings": findings, "growth": growth, "instrumented_equal": located.instrumented_bitwise_equal}


def _repair_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "layers": {name: [rule.size, rule.up_to] for name, rule in attempt.rules.items()},
        "batch_invariant": attempt.batch_invariant,
        "singles_as_native": all(one.singles_as_native for one in attempt.verified),
        "verified": [
            asdict(one) | {"differing": {str(n): c for n, c in one.differing.items()}} for one in attempt.verified
        ],
        "ratios": {str(n): found for n, found in attempt.ratios.items()},
    }
