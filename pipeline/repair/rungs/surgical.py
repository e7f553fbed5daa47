"""Only the layers where divergence starts run in one shape; the rest of the network stays as it is."""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

from isobatch.models.spec.change import Change
from isobatch.models.spec.runner import Canonical, Rewritable, Runner
from isobatch.pipeline.explain.findings import LayerFinding
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung
from isobatch.pipeline.repair.shapes import best_rules

_NAMED = 3  # layers that are named one by one


def applies_to(bench: Bench) -> str:
    """Needs a runner whose layers can be put in one shape, and a layer to start with."""
    if not isinstance(bench.runner, Rewritable):
        return "its layers cannot be put in one shape"
    return (
        "" if any(finding.replayable for finding in bench.located.findings.values()) else "no layer could be replayed"
    )


def apply(bench: Bench) -> Generator[Candidate, bool | None]:
    """The origins, so that a single image pays nothing; so that most images a second pass, where that is another way.

    Where neither holds, the same with those that images of other sizes show. Then every layer of the origins' kinds,
    and every layer: where an origin was overlooked.
    """
    tried: list[Mapping[str, Canonical]] = [{}]
    held = False
    while True:
        for which in (0, 1):
            held |= yield from _new(bench, _rules(bench, _guilty(bench), which), tried)
        if held or bench.elsewhere is None:
            break
        bench = bench.elsewhere()
    every, origins = _replayable(bench), _guilty(bench)
    kinds = {origin.layer.kind for origin in origins}
    for chosen in ([finding for finding in every if finding.layer.kind in kinds], every):
        yield from _new(bench, _rules(bench, chosen, 0), tried, len(origins))


def _new(
    bench: Bench, rules: Mapping[str, Canonical], tried: list[Mapping[str, Canonical]], origins: int = 0
) -> Generator[Candidate, bool | None, bool]:
    """The candidate of these rules, unless they were tried; whether it held."""
    if rules in tried:
        return False
    tried.append(rules)
    candidate = Candidate(partial(_rewritten, rules, bench), _how(rules, origins), tuple(rules), change=Change(rules))
    return bool((yield candidate))


def _replayable(bench: Bench) -> list[LayerFinding]:
    return [finding for finding in bench.located.findings.values() if finding.replayable]


def _guilty(bench: Bench) -> list[LayerFinding]:
    return [finding for finding in _replayable(bench) if finding.batch_sizes]


def _rewritten(rules: Mapping[str, Canonical], bench: Bench, runner: Any) -> Runner:
    if runner is not bench.runner:  # of another thread count: it has not seen its own layers yet
        runner.watch(bench.images[:1], lambda layer, inputs, outputs: None)
    changed: Runner = runner.with_canonical(rules)
    return changed


def _rules(bench: Bench, findings: Sequence[LayerFinding], which: int) -> dict[str, Canonical]:
    """``which``: 0 for the rules under which a single image pays nothing, 1 for those of least cost over all N."""
    rules = {}
    for finding in findings:
        shapes = bench.shapes.get(finding.layer.signature)
        if not finding.batch_sizes:
            rules[finding.layer.name] = Canonical(size=1)
        else:
            rules[finding.layer.name] = best_rules(shapes, bench.batch_sizes)[which] if shapes else finding.rule()
    return rules


def _how(rules: Mapping[str, Canonical], origins: int) -> str:
    """``1 layer (fc) runs one image at a time``; ``12 layers run in one shape, 3 of them with few images padded``."""
    padded = sum(rule.least > 1 for rule in rules.values())
    single = sum(rule.size == 1 for rule in rules.values())
    named = f" ({', '.join(rules)})" if len(rules) <= _NAMED else ""
    does = "one image at a time" if single == len(rules) else "in one shape"
    parts = [f"{counted(len(rules), 'layer')}{named} run{'s' if len(rules) == 1 else ''} {does}"]
    if padded:
        parts.append(f"{padded} of them with small batches padded")
    if 0 < single < len(rules):
        parts.append(f"{single} of them one image at a time")
    if origins:
        parts.append(f"{len(rules) - origins} of them beyond the origins that were found")
    return ", ".join(parts)


RUNG = Rung(
    order=20,
    question="Is the network batch-invariant with only its origin layers run in one shape?",
    applies_to=applies_to,
    apply=apply,
)
