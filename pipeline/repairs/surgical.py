"""Only the layers where divergence starts run in one shape; the rest of the network stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from models.spec import Canonical, Rewritable, Runner
from pipeline.batch_shapes import best_rules
from pipeline.locate import LayerFinding
from pipeline.repairs import Bench, Candidate
from pipeline.wording import counted

NAME = "surgical"
ORDER = 20
QUESTION = "Is the network batch-invariant with only its origin layers run in one shape?"


def applies_to(bench: Bench) -> str:
    """Needs a runner whose layers can be put in one shape, and a layer to start with."""
    if not isinstance(bench.runner, Rewritable):
        return "its layers cannot be put in one shape"
    return "" if any(one.replayable for one in bench.located.findings.values()) else "no layer could be replayed"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The origins, so that a single image pays nothing; so that most images a second pass, where that is another way.

    Then every layer of the origins' kinds, and every layer: where an origin was overlooked.
    """
    every = [one for one in bench.located.findings.values() if one.replayable]
    origins = [one for one in every if one.batch_sizes]
    kinds = {one.layer.kind for one in origins}
    alone, together = _rules(bench, origins, 0), _rules(bench, origins, 1)
    tried: list[Mapping[str, Canonical]] = [{}]
    for rules, added in (
        (alone, 0),
        (together, 0),
        (_rules(bench, [one for one in every if one.layer.kind in kinds], 0), len(origins)),
        (_rules(bench, every, 0), len(origins)),
    ):
        if rules not in tried:
            tried.append(rules)
            yield Candidate(partial(_rewritten, rules, bench), _how(rules, added), tuple(rules))


def _rewritten(rules: Mapping[str, Canonical], bench: Bench, runner: Any) -> Runner:
    if runner is not bench.runner:  # of another thread count: it has not seen its own layers yet
        runner.watch(bench.images[:1], lambda layer, inputs, outputs: None)
    found: Runner = runner.with_canonical(rules)
    return found


def _rules(bench: Bench, findings: Sequence[LayerFinding], which: int) -> dict[str, Canonical]:
    """``which``: 0 for the rules under which a single image pays nothing, 1 for those of least cost over all N."""
    rules = {}
    for one in findings:
        shapes = bench.shapes.get(one.layer.signature)
        if not one.batch_sizes:
            rules[one.layer.name] = Canonical(size=1)
        else:
            rules[one.layer.name] = best_rules(shapes, bench.batch_sizes)[which] if shapes else one.rule()
    return rules


def _how(rules: Mapping[str, Canonical], origins: int) -> str:
    padded = sum(rule.least > 1 for rule in rules.values())
    single = sum(rule.size == 1 for rule in rules.values())
    parts = [f"{counted(len(rules), 'layer')} in one shape"]
    if padded:
        parts.append(f"{padded} of them with small batches padded")
    if single:
        parts.append(f"{single} of them image by image")
    if origins:
        parts.append(f"{len(rules) - origins} of them beyond the origins that were found")
    return ", ".join(parts)
