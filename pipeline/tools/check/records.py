"""What ``check`` found: the shape of its ``--json``."""

from typing import Literal

from isobatch.pipeline.records.errors import Exit, worst
from isobatch.pipeline.records.study import Record, Tool
from isobatch.pipeline.user.results import BatchSize, OriginInShort

Verdict = Literal["batch-invariant", "batch-variant", "not-repeatable", "unverified"]


class VariantChecked(Record):
    """One variant. What is said from ``classes`` to ``recurrent_axes`` is said of a batch-variant one only."""

    variant: str
    status: Literal["measured", "unavailable", "failed"]
    verdict: Verdict | None = None  # None where nothing ran
    reason: str = ""  # why nothing ran
    remedy: str = ""  # what would change that
    weights: str = ""
    inputs: str = ""
    n_images: int = 0
    threads: int = 0
    sizes: tuple[BatchSize, ...] = ()
    probed: tuple[int, ...] = ()
    not_tried: tuple[int, ...] = ()
    classes: tuple[tuple[int, ...], ...] = ()  # N whose rows are equal
    closed: str = ""  # why origins were not sought
    origins: int = 0  # how many there are
    first: OriginInShort | None = None  # the one that runs first
    largest: OriginInShort | None = None  # the one that differs most
    mechanism: str | None = None  # by which the largest differs
    mixes: bool | None = None  # whether other neighbours at the same N change an image's row
    repairable: bool | None = None  # whether layers run in other shapes may repair it
    # Where the recurrent nodes of an ONNX file that mixes take the batch to be, as --batch-axis is told.
    recurrent_axes: str = ""
    notes: tuple[str, ...] = ()
    studied: bool = True  # whether a study takes the network

    @property
    def exit_code(self) -> Exit:
        """DONE only for a verdict that bytes were compared for."""
        if self.verdict == "batch-invariant":
            return Exit.DONE
        return Exit.NOT_MET if self.verdict in ("batch-variant", "not-repeatable") else Exit.PARTIAL


class CheckReport(Record):
    """The whole check."""

    schema_version: int = 1
    tool: Tool
    cpu: str
    network: str
    kind: str
    batch_sizes: list[int]
    variants: list[VariantChecked]
    next: str

    @property
    def exit_code(self) -> Exit:
        """0 where every variant is batch-invariant, 1 where one is not, else 3."""
        return worst(*(variant.exit_code for variant in self.variants))
