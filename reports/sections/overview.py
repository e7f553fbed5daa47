"""One row a variant: where it stands, what it costs, how far it is from the truth."""

from isobatch.pipeline.decide import agreement
from isobatch.pipeline.decide.repaired_variants import with_repairs
from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Block, Code, Column, Paragraph, Row, line, table_of, without_empty
from isobatch.reports.sections import Section
from isobatch.reports.sections.glossary import defined


def _runs_as(variant: VariantResult) -> str | None:
    """``int8``; with the share of the layers with weights that are int8 where some are not: ``fp32+int8, 1 of 54``."""
    if (effective := variant.effective) is None:
        return None
    int8, every = effective.int8_layers, effective.weight_layers
    part = f", {int8} of {every}" if (int8 or variant.precision.startswith("int8")) and int8 < every else ""
    return f"{effective.precision}{part}"


def _row(study: Study, variant: VariantResult) -> Row:
    speed, cost, drop = speeds.throughput(study, variant), variant.cost, variant.accuracy_drop
    agrees = variant.agreement if variant.name != study.reference else None
    return {
        Column("Variant", "name"): variant.name,
        Column("Verdict", "state"): views.state(variant),
        Column("Runs as"): _runs_as(variant),
        Column("Batch noise", "number"): views.noise(variant),
        Column("Error", "number"): views.error(study, variant),
        Column("Agrees", "number"): numbers.known(agrees, agreement.count),
        Column("95 % limit", "number"): agreement.bound(agrees, "≥", "≤") if agrees else None,
        Column("ms at N = 1", "number"): speeds.single_ms(study, variant),
        Column("img/s @ N", "number"): f"{speed.mark}{numbers.rate(speed.interval.median)} @ {speed.batch_size}"
        if speed
        else None,
        Column("Size", "number"): numbers.size(cost.size_bytes) if cost else None,
        Column("Top-1", "number"): numbers.percent(variant.accuracy.top1) if variant.accuracy else None,
        Column("Accuracy drop, points", "number"): numbers.points(drop.value).split()[0] if drop else None,
    }


def blocks(study: Study) -> list[Block]:
    """The table of all variants, below each its repairs that hold; the chosen one marked."""
    if not study.variants:
        return [Paragraph(line("The study holds no variant."))]
    shown = with_repairs(study.variants)
    reference = views.reference(study)
    chosen = next((at for at, variant in enumerate(shown) if views.is_chosen(study, variant.name)), None)
    caption = (
        "Runs as: the precision that was computed in; of int8 the layers with weights that run in it, if not all. "
        f"{defined('batch noise')} Error: the largest |singles - {reference} singles|, likewise. Throughput (img/s): "
        "at the N where it is highest; of a raced variant, in the race."
    )
    if study.race or views.repaired_variants(study):
        caption += f" ~: {speeds.roughly(study)}."
    if any(variant.agreement for variant in shown):
        caption += f" Agrees: its answer is that of {reference}; drawn noise left out."
    if any(variant.accuracy_drop for variant in shown):
        caption += f" {defined('accuracy drop')}"
    if views.repaired_variants(study):
        caption += (
            " Of a repaired variant: times that were not raced are those of the unrepaired variant times the measured "
            "ratio; error and accuracy are known where the repair keeps every byte of the singles, answers also where "
            "its own singles were compared."
        )
    table = table_of(caption, (_row(study, variant) for variant in shown), chosen)
    page: list[Block] = [without_empty(table, "Agrees", "95 % limit", "Top-1", "Accuracy drop, points")]
    remarks = {v.name: v.effective.note for v in study.variants if v.effective and v.effective.note}
    page += [Paragraph(line(Code(name), f": {note}."), small=True) for name, note in remarks.items()]
    return page


SECTION = Section(order=30, title="All variants", show="first", write=blocks)
