"""Another implementation at another N, by the libraries' own logs. A trigger: names say nothing of the arithmetic."""

from __future__ import annotations

from isobatch.models.spec.interventions import Logged
from isobatch.pipeline.explain.causes import Cause, Subject
from isobatch.pipeline.records.study import CauseFinding
from isobatch.pipeline.records.wording import listed

NAME = "kernel-switch"


def applies_to(subject: Subject) -> bool:
    """Runners whose libraries can be asked."""
    return isinstance(subject.runner, Logged)


def probe(subject: Subject) -> CauseFinding:
    """Compare what the logs name for one row and for all of them."""
    runner: Logged = subject.runner
    single = runner.kernels(subject.layer.name, subject.rows(0, 1))
    batched = runner.kernels(subject.layer.name, subject.rows(0, subject.batch))
    if not single and not batched:
        evidence = "The kernels that ran keep no log."
        return CauseFinding(name=NAME, verdict="inconclusive", evidence=evidence)
    if single == batched:
        evidence = f"At N = 1 and at N = {subject.batch} the same name was logged: {_said(single)}."
        return CauseFinding(
            name=NAME, verdict="refuted", evidence=f"{evidence} That is no proof of the same arithmetic."
        )
    evidence = f"Logged at N = 1: {_said(single)}; at N = {subject.batch}: {_said(batched)}."
    return CauseFinding(name=NAME, verdict="supported", evidence=evidence)


def _said(kernels: tuple[str, ...]) -> str:
    return listed([f"[{kernel}]" for kernel in kernels]) if kernels else "nothing"


CAUSE = Cause(
    name=NAME,
    role="trigger",
    order=110,
    question="Do the libraries say that they run another implementation at N = k than at N = 1?",
    if_supported="Yes: their own logs name another one.",
    if_refuted=(
        "No: they name the same one, which may still compute differently: tiles and tails change with the shape."
    ),
    applies_to=applies_to,
    probe=probe,
)
