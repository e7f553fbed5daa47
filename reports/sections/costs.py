"""What every variant costs here: time with intervals, size, memory."""

from __future__ import annotations

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Block, Column, Details, Paragraph, Table, line
from isobatch.reports.sections import Section

_COLUMNS = (
    Column("Variant", "name"),
    Column("Runs on"),
    Column("Latency, N = 1", "number"),
    Column("Best throughput", "number"),
    Column("at N", "number"),
    Column("Size", "number"),
    Column("Peak memory", "number"),
    Column("Drift", "number"),
)
_PER_N = (Column("Variant", "name"), Column("N", "number"), Column("Throughput", "number"), Column("Timings", "number"))


def _row(variant: VariantResult) -> tuple[str | None, ...]:
    cost, speed = variant.cost, speeds.in_passes(variant)
    if cost is None:
        return (variant.name, *[None] * (len(_COLUMNS) - 1))
    memory = cost.device_memory.reserved_bytes if cost.device_memory else cost.peak_memory_bytes
    return (
        variant.name,
        variant.device,
        numbers.latency_interval(cost.latency_ms) if cost.latency_ms else None,
        numbers.throughput_interval(speed.interval) if speed else None,
        numbers.count(speed.batch_size) if speed else None,
        numbers.size(cost.size_bytes),
        numbers.size(memory),
        None if cost.drift is None else numbers.percent(cost.drift),
    )


def _per_n(variant: VariantResult) -> list[tuple[str | None, ...]]:
    timed = variant.cost.throughput_img_s if variant.cost else {}
    return [(variant.name, n, numbers.throughput_interval(i), numbers.count(i.n)) for n, i in timed.items()]


def blocks(study: Study) -> list[Block]:
    """One row a variant, and each variant's throughput N by N."""
    costed = [variant for variant in views.candidates(study) if variant.cost]
    if not costed:
        return [Paragraph(line("No cost was measured."))]
    measured_on = sorted({f"{v.cost.inputs} at {v.cost.image_size} px" for v in costed if v.cost})
    caption = (
        f"Wall clock on {views.listing(measured_on)}, in the passes that gathered the evidence: for orientation; what "
        "decides is timed in the race. Medians with 95 % limits. Drift: the second round's median "
        "latency over the first's, minus 1."
    )
    if any(variant.device != "cpu" for variant in costed):
        caption += (
            " On a GPU: the device's own time of the network, copies from and to the host left out, and the memory "
            "that torch took from the device."
        )
    per_n = Table("Images a second: medians with 95 % limits.", _PER_N, tuple(row for v in costed for row in _per_n(v)))
    kept = [at for at, column in enumerate(_COLUMNS) if column.title != "Runs on" or "GPU" in caption]
    rows = tuple(tuple(row[at] for at in kept) for row in map(_row, costed))
    return [Table(caption, tuple(_COLUMNS[at] for at in kept), rows), Details("Throughput per N", (per_n,))]


SECTION = Section(
    name="costs",
    order=95,
    title="Cost",
    show="folded",
    write=blocks,
)
