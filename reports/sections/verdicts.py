"""One verdict for each variant and input set, with what decided it and the margin screen."""

from isobatch.pipeline.records.study import InputsVerdict, Margin, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Row, line, table_of, without_empty
from isobatch.reports.sections import Section

_EXPOSED = "Exposed images"


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


def _row(variant: VariantResult, verdict: InputsVerdict) -> Row:
    return {
        Column("Variant", "name"): variant.name,
        Column("Inputs"): verdict.inputs,
        Column("Verdict", "state"): verdict.verdict,
        Column("Comparisons", "number"): numbers.count(verdict.n_comparisons),
        Column("Answers changed", "number"): numbers.events(
            verdict.top1_flips, verdict.n_images, verdict.top1_flip_upper95
        ),
        Column(_EXPOSED): _exposed(verdict.margin, verdict.n_images),
        Column("Clipped at most"): _clipped(verdict),
        Column("What decided it"): verdict.decided_by.why,
    }


def blocks(study: Study) -> list[Block]:
    """One row for each variant and input set."""
    rows = [_row(variant, verdict) for variant in study.variants for verdict in variant.by_inputs]
    if not rows:
        return [Paragraph(line("No variant was judged."))]
    exposed = (
        " Exposed: images whose margin is at most twice the noise seen on the other images, an estimate from "
        "observation."
    )
    screened = any(verdict.margin for variant in study.variants for verdict in variant.by_inputs)
    caption = (
        f"Answers changed: images whose answer any tested condition changed.{exposed if screened else ''} Clipped: the "
        "largest share of a quantized layer's activations at their limits."
    )
    return [without_empty(table_of(caption, rows), _EXPOSED)]


SECTION = Section(order=65, title="Verdicts, input set by input set", show="folded", write=blocks)
