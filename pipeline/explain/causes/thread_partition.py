"""How the work is shared between threads: gone with one thread."""

from isobatch.models.spec.interventions import Threaded
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.explain.causes import Cause, Finding, Subject, alone
from isobatch.pipeline.records.wording import out_of


def applies_to(subject: Subject) -> bool:
    """Runs with several threads, in runners that can do with one."""
    return subject.threads > 1 and isinstance(subject.runner, Threaded)


def probe(subject: Subject) -> Finding:
    """Replay the same rows alone and together with one thread."""
    before = int(subject.differing.sum())
    if not before:
        return Finding("inconclusive", "These rows show no difference.")
    runner: Threaded = subject.runner
    rows = subject.rows(0, subject.batch)
    with runner.one_thread():
        single = alone(subject.runner, subject.layer.name, rows, subject.batch, subject.place)
        together = subject.replay(rows)
    after = int((bits(single) != bits(together)).sum())
    evidence = (
        f"With one thread {out_of(after, together.size, 'output element', 'differ')} between N = 1 and "
        f"N = {subject.batch}, with {subject.threads} threads {before:,}."
    )
    return Finding("refuted" if after else "supported", evidence)


CAUSE = Cause(
    role="trigger",
    order=120,
    question="Is the difference gone when the layer runs with one thread?",
    if_supported="Yes: with one thread N = 1 and N = k give the same bytes, with the study's threads they do not.",
    if_refuted="No: with one thread they differ as well.",
    applies_to=applies_to,
    probe=probe,
)
