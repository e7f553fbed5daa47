"""What ``check`` found: the shape of its ``--json``."""

from typing import Literal

from isobatch.pipeline.records.errors import Exit, worst
from isobatch.pipeline.records.study import Record, Tool
from isobatch.pipeline.user.results import BatchSize, OriginInShort

Verdict = Literal["batch-invariant", "batch-variant", "not-repeatable", "unverified"]


class VariantChecked(Record):
    """One variant. ``verdict`` is None where nothing ran; ``reason`` then says why, ``remedy`` what would change that.

    Of a batch-variant one: ``mixes``: whether other neighbours at the same N change an image's row; ``origins``: how
    many there are; ``first`` runs first, ``largest`` differs most, by ``mechanism``; ``repairable``: whether layers run
    in other shapes may repair it; ``recurrent_axes``: where the recurrent nodes of an ONNX file that mixes take the
    batch to be, as --batch-axis is told; ``classes``: N whose rows are equal; ``closed``: why origins were not sought.
    ``studied``: whether a study takes the network.
    """

    variant: str
    status: Literal["measured", "unavailable", "failed"]
    verdict: Verdict | None = None
    reason: str = ""
    remedy: str = ""
    weights: str = ""
    inputs: str = ""
    n_images: int = 0
    threads: int = 0
    sizes: tuple[BatchSize, ...] = ()
    probed: tuple[int, ...] = ()
    not_tried: tuple[int, ...] = ()
    classes: tuple[tuple[int, ...], ...] = ()
    closed: str = ""
    origins: int = 0
    first: OriginInShort | None = None
    largest: OriginInShort | None = None
    mechanism: str | None = None
    mixes: bool | None = None
    repairable: bool | None = None
    recurrent_axes: str = ""
    notes: tuple[str, ...] = ()
    studied: bool = True

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
