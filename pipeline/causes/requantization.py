"""Whether equal integer sums are made into codes by two float formulas, which part ways at rounding ties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.spec import Integer, IntegerCall
from pipeline.causes import Subject
from pipeline.epilogues import Formula, Terms, reproducing, tie_distance
from pipeline.records import CauseFinding
from pipeline.wording import counted, number

NAME = "requantization"
ROLE = "mechanism"
ORDER = 20
QUESTION = "Do the same exact integer sums, next to a rounding tie, become other codes by another float formula?"
IF_SUPPORTED = "Yes: equal sums, results one step apart at ties, and one float formula for each side that gives them."
IF_REFUTED = "No: results differ by more than a step, or away from ties, where no float formula can part them."
_TIE_ULPS = 8  # a few roundings of the largest intermediate value
_MOST = 65536  # differing elements that the formulas are tried on


def applies_to(subject: Subject) -> bool:
    """At an integer layer with fixed scales whose exact sums can be had."""
    runner = subject.runner
    one = subject.rows(0, 1)
    return isinstance(runner, Integer) and runner.accumulators(subject.layer.name, one) is not None


def probe(subject: Subject) -> CauseFinding:
    """Recompute the sums exactly, measure the distance to the nearest tie, and search the formula of each side."""
    call, rows = _call(subject)
    differing = np.asarray(call.singles != call.batched)
    count = int(differing.sum())
    if not count:
        text = f"On {rows} none of {differing.size} elements differs between N = 1 and N = {subject.batch}."
        return CauseFinding(name=NAME, verdict="inconclusive", evidence=text)
    steps = int(np.abs(call.batched.astype(np.int64) - call.singles)[differing].max())
    terms = Terms.of(call.accumulators, differing).first(_MOST)
    distance = tie_distance(terms.steps)
    ulps = distance / terms.ulp
    text = (
        f"On {rows} {count} of {differing.size} elements differ, by {counted(steps, 'step')} at most. Their sums, "
        f"recomputed exactly from the same bytes, are the same for both calls (largest {_largest(terms)}); the "
        f"unrounded values lie within {number(float(distance.max()))} of a step of a rounding tie, at most "
        f"{number(float(ulps.max()))} float32 ULP of the largest intermediate (limit {_TIE_ULPS})."
    )
    if steps > 1 or (ulps > _TIE_ULPS).any():
        return CauseFinding(name=NAME, verdict="refuted", evidence=text)
    sides = {"N = 1": call.singles, f"N = {subject.batch}": call.batched}
    found = {side: reproducing(terms, codes[differing][:_MOST]) for side, codes in sides.items()}
    text += "".join(f" {side}: {_named(formulas)}." for side, formulas in found.items())
    apart = _away_from_ties(subject)
    text += "" if apart is None else f" Half a step away from every tie {apart[0]} of {apart[1]} elements differ."
    proved = all(found.values()) and (apart is None or apart[0] == 0)
    return CauseFinding(name=NAME, verdict="supported" if proved else "inconclusive", evidence=text)


def _call(subject: Subject) -> tuple[IntegerCall, str]:
    """The subject's own rows where they show the difference, else this layer placed on ties."""
    rows = subject.rows(0, subject.batch)
    if not subject.differing.any():
        crafted: IntegerCall | None = subject.runner.crafted(subject.layer.name, subject.batch, subject.seed, "ties")
        if crafted is not None:
            return crafted, "rows placed on rounding ties, with biases moved to fit,"
    numbers = subject.runner.accumulators(subject.layer.name, rows)
    return IntegerCall(subject.alone, subject.together, numbers), f"{subject.found_by} rows"


def _away_from_ties(subject: Subject) -> tuple[int, int] | None:
    """(elements that differ, of so many) where every value lies in the middle between two ties."""
    call = subject.runner.crafted(subject.layer.name, subject.batch, subject.seed, "middles")
    return None if call is None else (int((call.singles != call.batched).sum()), call.batched.size)


def _largest(terms: Terms) -> int:
    return max(int(np.abs(values).max(initial=0)) for values in terms.exact)


def _named(formulas: Sequence[Formula]) -> str:
    if not formulas:
        return "no formula of the family gives all its codes"
    others = f" (and {len(formulas) - 1} others that agree here)" if len(formulas) > 1 else ""
    return f"all its codes are {formulas[0]}{others}"
