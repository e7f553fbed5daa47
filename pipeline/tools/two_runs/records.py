"""The frozen records of a comparison of two runs: ``a`` is relied on so far, ``b`` may replace it."""

from dataclasses import dataclass
from typing import Literal

from isobatch.pipeline.records.study import Condition, Real, Record, Verdict

ChangeKind = Literal["regression", "improvement", "other"]


class RunNamed(Record):
    """One of the two runs, as the reader knows it."""

    run_id: str
    created_utc: str
    tool_version: str


class Difference(Record):
    """Something in which the two runs differ before any output is looked at."""

    group: Literal["environment", "configuration"]
    what: str
    a: str
    b: str


class Apart(Record):
    """Output rows of run ``a`` (reference) against those of ``b`` (candidate), the same images at one N, in float64."""

    condition: Condition  # that of run ``a``
    batch_size: int
    n_images: int
    n_images_equal: int
    n_elements: int
    n_elements_differing: int
    max_abs: Real
    max_abs_relative: Real | None
    max_ulp: Real | None
    top1_flips: int | None


class SetCompared(Record):
    """One variant on one input set that both runs share."""

    variant: str
    inputs: str
    verdict_a: Verdict | None
    verdict_b: Verdict | None
    same_bytes: bool | None  # True where all outputs are equal, False where one differs, else None
    n_outputs: int  # a condition and an N each, that both runs have
    n_equal: int  # of equal bytes
    n_undecided: int = 0  # of which it cannot be said
    apart: Apart | None = None  # the farthest of those that were measured
    notes: tuple[str, ...] = ()
    only_in_one: tuple[str, ...] = ()  # of ``notes`` those that say what only one run has


@dataclass(frozen=True)
class Change:
    """What one run says and the other does not."""

    kind: ChangeKind
    what: str
    a: str
    b: str
    variant: str | None = None  # None: of the whole run
    inputs: str | None = None  # None: of all sets
    note: str = ""


class RunComparison(Record):
    """Two runs compared: what differs around them, then which bytes are equal, then what changed."""

    schema_version: int = 1
    a: RunNamed
    b: RunNamed
    differences: list[Difference]
    left_out: list[str]  # what could not be compared, and why
    sets: list[SetCompared]
    changes: list[Change]

    @property
    def regressions(self) -> list[Change]:
        """What got worse, by the rules of the gate."""
        return [change for change in self.changes if change.kind == "regression"]

    @property
    def portable(self) -> list[str]:
        """The variants whose bytes are equal in everything that both runs have, in table order."""
        equal: dict[str, list[bool | None]] = {}
        for pair in self.sets:
            equal.setdefault(pair.variant, []).append(pair.same_bytes)
        return [name for name, same in equal.items() if all(same)]
