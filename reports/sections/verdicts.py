"""One verdict for each variant and input set, with what decided it and the margin screen."""

from __future__ import annotations

from isobatch.pipeline.records.study import InputsVerdict, Margin, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Table, line
from isobatch.reports.sections import Section

_COLUMNS = (
    Column("Variant", "name"),
    Column("Inputs"),
    Column("Verdict", "state"),
    Column("Comparisons", "number"),
    Column("Top-1 flips", "number"),
    Column("Exposed images"),
    Column("Clipped at most"),
    Column("What decided it"),
)


def _exposed(margin: Margin | None, n_images: int) -> str | None:
    if margin is None:
        return None
    exposed = margin.exposed_images
    which = f": {views.listing(f'no. {image}' for image in exposed)}" if exposed else ""
    return f"{numbers.count(len(exposed))} of {numbers.count(n_images)}{which}"


def _clipped(verdict: InputsVerdict) -> str | None:
    if verdict.clip_share is None:
        return None
    return numbers.percent(verdict.clip_share, 2) + (f" ({verdict.clip_layer})" if verdict.clip_layer else "")


def _row(variant: VariantResult, verdict: InputsVerdict) -> tuple[str | None, ...]:
    return (
        variant.name,
        verdict.inputs,
        verdict.verdict,
        numbers.count(verdict.n_comparisons),
        numbers.events(verdict.top1_flips, verdict.n_images, verdict.top1_flip_upper95),
        _exposed(verdict.margin, verdict.n_images),
        _clipped(verdict),
        verdict.decided_by.why,
    )


def blocks(study: Study) -> list[Block]:
    """One row for each variant and input set."""
    rows = tuple(_row(variant, verdict) for variant in study.variants for verdict in variant.by_inputs)
    if not rows:
        return [Paragraph(line("No variant was judged."))]
    caption = (
        "Flips: images whose top-1 any tested condition changed. Exposed: images whose margin is at most twice the "
        "noise seen on the other images, an estimate from observation. Clipped: the largest share of a quantized "
        "layer's activations at their limits."
    )
    return [Table(caption, _COLUMNS, rows)]


SECTION = Section(
    name="verdicts",
    order=65,
    title="Verdicts, input set by input set",
    show="folded",
    write=blocks,
)
