"""One row a variant: where it stands, what it costs, how far it is from the truth."""

from __future__ import annotations

from isobatch.pipeline.decide import agreement
from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import agreed, numbers, speeds, views
from isobatch.reports.blocks import Block, Code, Column, Paragraph, Table, line
from isobatch.reports.sections import Section
from isobatch.reports.views import Repaired

_COLUMNS = (
    Column("Variant", "name"),
    Column("Verdict", "state"),
    Column("Decided by"),
    Column("Runs as"),
    Column("int8 layers", "number"),
    Column("Batch noise", "number"),
    Column("Error", "number"),
    Column("Agrees (95 %)", "number"),
    Column("ms at N = 1", "number"),
    Column("img/s", "number"),
    Column("at N", "number"),
    Column("Size", "number"),
    Column("Top-1", "number"),
    Column("Lost, points", "number"),
)


def _int8_layers(variant: VariantResult) -> str | None:
    """How many of the layers with weights are int8: ``53 of 54``; None where none was meant to be and none is."""
    found = variant.effective
    if found is None or not (found.int8_layers or variant.precision.startswith("int8")):
        return None
    return f"{found.int8_layers} of {found.weight_layers}"


def _row(study: Study, variant: VariantResult) -> tuple[str | None, ...]:
    speed, cost, drop = speeds.best_throughput(variant), variant.cost, variant.accuracy_drop
    return (
        variant.name,
        views.state(variant),
        views.decided_by(variant),
        variant.effective.precision if variant.effective else None,
        _int8_layers(variant),
        views.difference(views.batch_noise(variant)),
        agreed.error(study, variant),
        _agreement(study, variant),
        numbers.real(cost.latency_ms.median, 3) if cost and cost.latency_ms else None,
        numbers.real(speed.interval.median, 3) if speed else None,
        numbers.count(speed.batch_size) if speed else None,
        numbers.size(cost.size_bytes) if cost else None,
        numbers.percent(variant.accuracy.top1) if variant.accuracy else None,
        numbers.points(drop.value).removesuffix(" points") if drop else None,
    )


def _agreement(study: Study, variant: VariantResult) -> str | None:
    """``16 of 16 (at least 82 %)``: how often it gives the reference's answer."""
    if variant.name == study.reference or variant.agreement is None:
        return agreed.agrees(study, variant)
    return f"{agreement.count(variant.agreement)} ({agreement.bound(variant.agreement)})"


def _repaired_row(study: Study, found: Repaired) -> tuple[str | None, ...]:
    speed, cost, variant = speeds.best_throughput(found), found.variant.cost, found.variant
    native, ratio = cost.latency_ms if cost else None, found.repair.latency_ratio.get("1")
    return (
        found.name,
        "batch-invariant",
        "verified repair",
        variant.effective.precision if variant.effective else None,
        _int8_layers(variant),
        "bit-equal",
        None,
        _agreement(study, variant) if found.repair.singles_as_native else None,
        numbers.real(native.median * ratio.median, 3) if native and ratio else None,
        numbers.real(speed.interval.median, 3) if speed else None,
        numbers.count(speed.batch_size) if speed else None,
        *[None] * 3,
    )


def blocks(study: Study) -> list[Block]:
    """The table of all variants, below each its repairs that hold; the chosen one marked."""
    if not study.variants:
        return [Paragraph(line("The study holds no variant."))]
    mended = views.repaired(study)
    rows = [
        row
        for v in study.variants
        for row in (_row(study, v), *(_repaired_row(study, one) for one in mended if one.variant is v))
    ]
    ruler = agreed.ruler(study)
    chosen = next((at for at, row in enumerate(rows) if views.is_chosen(study, row[0] or "")), None)
    caption = (
        f"Batch noise: the largest |batched - singles|; error: the largest |singles - {ruler} singles|. Both over all "
        f"input sets and N, relative to the largest |logit|. Agrees: its top-1 is that of {ruler}; drawn noise left "
        "out. Throughput (img/s) at the N where it is highest. "
        "Lost: top-1 lost to fp32 on the same images."
    )
    if mended:
        caption += " Times of a repaired variant: the native ones times the measured ratio."
    found: list[Block] = [Table(caption, _COLUMNS, tuple(rows), chosen)]
    remarks = {v.name: v.effective.note for v in study.variants if v.effective and v.effective.note}
    found += [Paragraph(line(Code(name), f": {note}."), small=True) for name, note in remarks.items()]
    return found


SECTION = Section(
    name="overview",
    order=30,
    title="All variants",
    show="first",
    write=blocks,
)
