"""Why a layer's rows depend on the batch: one file an intervention, found by looking into this package.

A cause is a module that holds one ``CAUSE = Cause(...)``:

* ``role``: ``mechanism`` or ``trigger``, ``order``: mechanisms are tried in this order, and the first that is supported
  names the origin; its name in the table of mechanisms is the module's, with hyphens;
* ``question``, ``if_supported``, ``if_refuted``: a plain question, and what its yes and its no mean, each without a
  full stop; report and docs print these same strings;
* ``applies_to(subject) -> bool``: whether the runner can do what the intervention needs, at this kind of layer;
* ``probe(subject) -> Finding``: change one thing at that layer, and see whether *the difference between N = 1 and
  N = k* vanishes. Supported only then; the evidence says what was done, on how many elements, and what it gave.

A probe must leave the runner as it found it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.discover import discover
from isobatch.models.spec.plain import Plain
from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.evidence.rows import reals, rows_at, same_bits
from isobatch.pipeline.records.study import CauseFinding, CauseVerdict
from isobatch.pipeline.records.wording import out_of

T = TypeVar("T")

UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class Subject:
    """An origin under examination: a live runner, its layer, and rows on which N = 1 and N = ``batch`` differ."""

    runner: Any
    layer: Layer
    inputs: Rows  # the layer's input rows, batch axis first, ``batch`` or more: the bytes that both calls are given
    batch: int
    threads: int
    seed: int
    # What gave the layer away; after ``provoked`` or ``sibling`` these rows need not show the difference.
    found_by: str = "captured"
    leading: bool = True  # whether this is the origin that shows most, of which alone what costs much is asked
    memo: dict[str, Any] = field(default_factory=dict, repr=False)  # what several interventions find out only once

    def rows(self, start: int, stop: int) -> Rows:
        """The input rows ``start`` to ``stop``; what all rows share is passed as it is."""
        return rows_at(self.inputs, slice(start, stop))

    @cached_property
    def place(self) -> int:
        """Which of the layer's outputs is looked at: the first that shows the difference."""
        together = self.runner.replay(self.layer.name, self.rows(0, self.batch))
        if len(together) == 1:
            return 0
        singles = (self.each_alone(partial(self.output, place)) for place in range(len(together)))
        pairs = enumerate(zip(singles, (reals(np.atleast_1d(part)) for part in together), strict=True))
        return next((place for place, (single, other) in pairs if not same_bits(single, other).all()), 0)

    def output(self, place: int, rows: Rows) -> NDArray[Any]:
        """One output, [n, ...], of the layer called with these rows; complex numbers as pairs of floats."""
        return reals(np.atleast_1d(self.runner.replay(self.layer.name, rows)[place]))

    def replay(self, rows: Rows) -> NDArray[Any]:
        """The output that is looked at, [n, ...], of the layer called with these rows."""
        return self.output(self.place, rows)

    def each_alone(self, replay: Callable[[Rows], NDArray[Any]]) -> NDArray[Any]:
        """What ``replay`` gives of every row by itself, [batch, ...]."""
        rows = self.rows(0, self.batch)
        return np.concatenate([replay(rows_at(rows, slice(i, i + 1), self.batch)) for i in range(self.batch)])

    def known(self, name: str, find: Callable[[], T]) -> T:
        """What ``find`` gives, found out only once by all interventions that ask for this name."""
        if name not in self.memo:
            self.memo[name] = find()
        value: T = self.memo[name]
        return value

    @cached_property
    def alone(self) -> NDArray[Any]:
        """The output [batch, ...] with every row replayed by itself."""
        return self.each_alone(self.replay)

    @cached_property
    def together(self) -> NDArray[Any]:
        """The output [batch, ...] of all rows replayed in one call."""
        return self.replay(self.rows(0, self.batch))

    @cached_property
    def differing(self) -> NDArray[np.bool_]:
        """A mask [batch, ...] of the output elements whose bytes depend on N: all, where their shape does."""
        return ~same_bits(self.alone, self.together)


@dataclass(frozen=True)
class Finding:
    """What an intervention showed."""

    verdict: CauseVerdict
    evidence: str
    trees: dict[str, str] = field(default_factory=dict)  # orders of addition in words, by N


def gone_with(subject: Subject, how: str, changed: Callable[[Rows], NDArray[Any]], else_how: str) -> Finding:
    """Whether the difference is gone where rows are replayed by ``changed``. ``how``: "With one thread"; ``else_how``:
    "with 2 threads".
    """
    before = int(subject.differing.sum())
    if not before:
        return Finding("inconclusive", "These rows show no difference.")
    together = changed(subject.rows(0, subject.batch))
    after = int((~same_bits(subject.each_alone(changed), together)).sum())
    evidence = (
        f"{how} {out_of(after, together.size, 'output element', 'differ')} between N = 1 and N = {subject.batch}, "
        f"{else_how} {before:,}."
    )
    return Finding("refuted" if after else "supported", evidence)


@dataclass(frozen=True)
class Cause:
    """One discovered cause."""

    role: Literal["mechanism", "trigger"]
    order: float
    question: str
    if_supported: str
    if_refuted: str
    applies_to: Callable[[Subject], bool]
    probe: Callable[[Subject], Finding]
    name: str = ""  # filled in where it is discovered


@cache
def all_causes() -> tuple[Cause, ...]:
    """Every cause, in order."""
    named = (replace(cause, name=name.replace("_", "-")) for name, cause in discover(__name__, Cause).items())
    return tuple(sorted(named, key=lambda cause: (cause.order, cause.name)))


@dataclass(frozen=True)
class Explanation(Plain):
    """What the interventions at the layer ``explained_by`` showed, for every origin of its signature: fields of an
    ``Origin``. ``mechanism`` is ``unexplained`` where none was supported.
    """

    mechanism: str
    triggers: tuple[str, ...] = ()
    causes: tuple[CauseFinding, ...] = ()
    explained_by: str | None = None


def explain_origin(subject: Subject, causes: Sequence[Cause] | None = None) -> Explanation:
    """Try every cause that applies. An intervention that fails is inconclusive, with the reason, and the others go on.

    Mechanisms are tried until one is supported; triggers are all tried.
    """
    mechanism, triggers, findings = UNEXPLAINED, [], []
    for cause in all_causes() if causes is None else causes:
        if cause.role == "mechanism" and mechanism != UNEXPLAINED:
            continue
        try:
            if not cause.applies_to(subject):
                continue
            finding = cause.probe(subject)
        except Exception as error:
            text = f"The intervention could not be made: {type(error).__name__}: {error}"
            finding = Finding("inconclusive", " ".join(text.split()))
        findings.append(CauseFinding(name=cause.name, **vars(finding)))
        if finding.verdict == "supported":
            if cause.role == "mechanism":
                mechanism = cause.name
            else:
                triggers.append(cause.name)
    return Explanation(mechanism, tuple(triggers), tuple(findings), subject.layer.name)
