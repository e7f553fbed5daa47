"""Another implementation at another N, by the libraries' own logs. A trigger: names say nothing of the arithmetic."""

from isobatch.models.spec.interventions import Logged
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.records.wording import listed


def probe(subject: Subject) -> Finding:
    """Compare what the logs name for one row and for all of them."""
    runner: Logged = subject.runner
    single = runner.kernels(subject.layer.name, subject.rows(0, 1))
    batched = runner.kernels(subject.layer.name, subject.rows(0, subject.batch))
    if not single and not batched:
        return Finding("inconclusive", "The kernels that ran keep no log.")
    if single == batched:
        evidence = f"At N = 1 and at N = {subject.batch} the same name was logged: {_said(single)}."
        return Finding("refuted", f"{evidence} That is no proof of the same arithmetic.")
    return Finding("supported", f"Logged at N = 1: {_said(single)}; at N = {subject.batch}: {_said(batched)}.")


def _said(kernels: tuple[str, ...]) -> str:
    return listed([f"[{kernel}]" for kernel in kernels]) if kernels else "nothing"


CAUSE = Cause(
    role="trigger",
    order=110,
    question="Do the libraries say that they run another implementation at N = k than at N = 1?",
    if_supported="their own logs name another one",
    if_refuted=("they name the same one, which may still compute differently: tiles and tails change with the shape"),
    applies_to=lambda subject: isinstance(subject.runner, Logged),  # runners whose libraries can be asked
    probe=probe,
)
