"""What turning switches showed: the shape of ``run.py switches --json``."""

from typing import Literal

from pydantic import Field

from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.study import Environment, Interval, Record, Tool


class SwitchResult(Record):
    """One switch of one variant."""

    switch: str
    asked: str
    status: Literal["measured", "failed"] = "measured"
    reason: str | None = None
    set: bool | None = None  # read back as asked; None: the library tells nobody
    read_back: str | None = None
    repeatable: bool | None = None
    # Every image has the same bytes alone and in every batch, and in a second process; None: not run.
    holds: bool | None = None
    differing_at: tuple[int, ...] = ()
    top1_flips: int = 0
    moves_bits: bool | None = None  # single images have other bytes than as shipped
    n_comparisons: int = 0
    ratio: dict[str, Interval] = Field(default={})  # by N: time of a call over that of one as shipped, made in turn


class VariantSwitches(Record):
    """Every switch of one variant, as shipped first; or why there is none."""

    variant: str
    runtime: str
    status: Literal["measured", "unavailable", "failed"]
    reason: str | None = None
    inputs: str = ""
    n_images: int = 0
    image_size: tuple[int, ...] = ()
    results: tuple[SwitchResult, ...] = ()


class SwitchesReport(Record):
    """What ``run.py switches --json`` prints."""

    schema_version: int = 1
    tool: Tool
    environment: Environment
    model: str
    weights: str
    threads: int
    batch_sizes: list[int]
    variants: list[VariantSwitches]

    def exit_code(self) -> Exit:
        """DONE, or PARTIAL where a variant or a switch could not be run."""
        whole = all(v.status == "measured" and all(r.status == "measured" for r in v.results) for v in self.variants)
        return Exit.DONE if whole else Exit.PARTIAL
