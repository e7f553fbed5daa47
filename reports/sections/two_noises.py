"""Batch noise beside precision error: does the one matter next to the other?"""

from collections.abc import Sequence

from isobatch.pipeline.records.study import Comparison, ComparisonKind, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section

_KINDS: tuple[ComparisonKind, ...] = ("batch-vs-singles", "vs-reference")


def _share(noise: Comparison | None, error: Comparison | None) -> str | None:
    if noise is None or error is None or not error.max_abs_relative or noise.max_abs_relative is None:
        return None
    return numbers.real(noise.max_abs_relative / error.max_abs_relative)


def _row(variant: VariantResult, inputs: str) -> Row:
    noise = views.worst(views.comparisons(variant, "batch-vs-singles", inputs))
    error = views.worst(views.comparisons(variant, "vs-reference", inputs))
    return {
        Column("Variant", "name"): variant.name,
        Column("Inputs"): inputs,
        Column("Batch noise", "number"): views.difference(noise),
        Column("Error", "number"): views.difference(error),
        Column("Noise / error", "number"): _share(noise, error),
        Column("SQNR", "number"): None if error is None or error.sqnr_db is None else numbers.decibels(error.sqnr_db),
        Column("1 - cosine", "number"): None
        if error is None or error.cosine_min is None
        else numbers.difference(1 - error.cosine_min),
    }


def blocks(study: Study) -> list[Block]:
    """One row for each candidate and input set."""
    rows = [
        _row(v, s.name)
        for v in views.candidates(study)
        for s in study.inputs
        if any(c.inputs == s.name for c in v.comparisons)
    ]
    if not rows:
        return [Paragraph(line("Neither was measured."))]
    caption = (
        "Largest differences over N, relative to the largest |logit|: batched - singles, and singles - singles of "
        f"{views.reference(study)}, the reference."
    )
    remark = "A ratio well below 1: what the batch changes drowns in what the precision itself costs."
    return [table_of(caption, rows), Paragraph(line(remark), small=True), *_neighbours(study)]


def _neighbours(study: Study) -> list[Block]:
    """Of an embedding: which share of an image's nearest neighbours stays, the worst over N and settings."""
    rows: list[Row] = []
    for variant in views.candidates(study):
        for inputs in study.inputs:
            batched, reference = (_recall(views.comparisons(variant, kind, inputs.name)) for kind in _KINDS)
            if batched or reference:
                rows.append(
                    {
                        Column("Variant", "name"): variant.name,
                        Column("Inputs"): inputs.name,
                        Column("Batched"): batched,
                        Column("Against the reference"): reference,
                    }
                )
    if not rows:
        return []
    caption = (
        "Nearest neighbours by cosine among the other images, each embedded alone: recall at k, the share of an "
        f"image's k nearest that stay when it is embedded in a batch, and by {views.reference(study)} instead. The "
        "smallest over N and settings."
    )
    return [table_of(caption, rows)]


def _recall(compared: Sequence[Comparison]) -> str | None:
    """``1.000 at k = 1, 0.975 at 5``; None where nothing was sought."""
    shares = [comparison.recall_at_k for comparison in compared if comparison.recall_at_k]
    if not shares:
        return None
    worst = {k: min(share[k] for share in shares if k in share) for k in shares[0]}
    return ", ".join(f"{share:.3f} at {'k = ' * (place == 0)}{k}" for place, (k, share) in enumerate(worst.items()))


SECTION = Section(order=80, title="Batch noise beside precision error", show="folded", write=blocks)
