"""Whether equal integer sums are made into codes by two float formulas, which part ways at rounding ties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Integer, IntegerCall
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.explain.causes._epilogues import Formula, Terms, reproducing, tie_distance
from isobatch.pipeline.records.wording import counted, number

_TIE_ULPS = 8  # a few roundings of the largest intermediate value
_MOST = 65536  # distinct elements of a call that the formulas are tried on
_DRAWS = 8  # of biases and inputs on ties: constant channels hold few distinct values


def applies_to(subject: Subject) -> bool:
    """At an integer layer with fixed scales whose exact sums can be had."""
    runner = subject.runner
    first_row = subject.rows(0, 1)
    return isinstance(runner, Integer) and runner.accumulators(subject.layer.name, first_row) is not None


def probe(subject: Subject) -> Finding:
    """Recompute the sums exactly, measure the distance to the nearest tie, and search the formula of each side.

    On the subject's own rows where they show the difference. If these do not prove it, as where the kernel clips their
    sums, on rows that lie on ties and are too small to be clipped.
    """
    findings = []
    for rows, calls in _attempts(subject):
        findings.append(_examined(subject, rows, calls))
        if findings[-1].verdict == "supported":
            return findings[-1]
    return findings[0]


def _examined(subject: Subject, rows: str, calls: Sequence[IntegerCall]) -> Finding:
    masks = [np.asarray(call.singles != call.batched) for call in calls]
    count, size = sum(int(mask.sum()) for mask in masks), sum(mask.size for mask in masks)
    if not count:
        return Finding(
            "inconclusive", f"On {rows} none of {size} elements differs between N = 1 and N = {subject.batch}."
        )
    seen = [_Differing.of(call, mask) for call, mask in zip(calls, masks, strict=True) if mask.any()]
    steps = max(int(np.abs(call.batched - call.singles).max()) for call in seen)
    apart = [tie_distance(call.terms.steps) for call in seen]
    distance = max(float(part.max()) for part in apart)
    ulps = max(float((part / call.terms.ulp).max()) for part, call in zip(apart, seen, strict=True))
    distinct = sum(len(call.terms.bias) for call in seen)
    text = (
        f"On {rows} {count} of {size} elements differ, {distinct} of them distinct, by {counted(steps, 'step')} at "
        f"most. Their sums, recomputed exactly from the same bytes, are the same for both calls; the unrounded values "
        f"lie within {number(distance)} of a step of a rounding tie, at most {number(ulps)} float32 ULP of the largest "
        f"intermediate (limit {_TIE_ULPS})."
    )
    if steps > 1 or ulps > _TIE_ULPS:
        return Finding("refuted", text)
    matches = {
        "N = 1": reproducing([(call.terms, call.singles) for call in seen]),
        f"N = {subject.batch}": reproducing([(call.terms, call.batched) for call in seen]),
    }
    text += "".join(f" {side}: {_named(formulas)}." for side, formulas in matches.items())
    away = _away_from_ties(subject)
    text += "" if away is None else f" Half a step away from every tie {away[0]} of {away[1]} elements differ."
    proved = all(matches.values()) and (away is None or away[0] == 0)
    return Finding("supported" if proved else "inconclusive", text)


@dataclass(frozen=True)
class _Differing:
    """The distinct elements of one call that differ: what they are made from, and the codes of both sides."""

    terms: Terms
    singles: NDArray[np.int64]
    batched: NDArray[np.int64]

    @classmethod
    def of(cls, call: IntegerCall, mask: NDArray[np.bool_]) -> _Differing:
        terms = Terms.of(call.accumulators, mask)
        sides = [side[mask].astype(np.int64) for side in (call.singles, call.batched)]
        columns: list[NDArray[Any]] = [*terms.exact, terms.weight_scales, terms.bias, *sides]
        _, index = np.unique(np.stack([part.astype(np.float64) for part in columns]), axis=1, return_index=True)
        return cls(terms.at(index[:_MOST]), sides[0][index[:_MOST]], sides[1][index[:_MOST]])


def _attempts(subject: Subject) -> Iterator[tuple[str, list[IntegerCall]]]:
    """The subject's own rows, then this layer placed on ties by several draws."""
    own = subject.differing.any()
    if own:
        numbers = subject.runner.accumulators(subject.layer.name, subject.rows(0, subject.batch))
        yield f"{subject.found_by} rows", [IntegerCall(subject.alone, subject.together, numbers)]
    crafted_calls = [
        subject.runner.crafted(subject.layer.name, subject.batch, subject.seed + draw, "ties") for draw in range(_DRAWS)
    ]
    calls = [call for call in crafted_calls if call is not None]
    if calls or not own:
        yield f"rows placed on rounding ties, with biases moved to fit ({len(calls)} draws),", calls


def _away_from_ties(subject: Subject) -> tuple[int, int] | None:
    """(elements that differ, of so many) where every value lies in the middle between two ties."""
    call = subject.runner.crafted(subject.layer.name, subject.batch, subject.seed, "middles")
    return None if call is None else (int((call.singles != call.batched).sum()), call.batched.size)


def _named(formulas: Sequence[Formula]) -> str:
    if not formulas:
        return "no formula of the family gives all its codes"
    others = f" (and {len(formulas) - 1} others that agree here)" if len(formulas) > 1 else ""
    return f"all its codes are {formulas[0]}{others}"


CAUSE = Cause(
    role="mechanism",
    order=20,
    question="Do the same exact integer sums, next to a rounding tie, become other codes by another float formula?",
    if_supported=("equal sums, results one step apart at ties, and one float formula for each side that gives them"),
    if_refuted="results differ by more than a step, or away from ties, where no float formula can part them",
    applies_to=applies_to,
    probe=probe,
)
