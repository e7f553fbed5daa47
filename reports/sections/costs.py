"""What every variant costs here: time with intervals, size, memory."""

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Block, Column, Details, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section


def _row(variant: VariantResult, elsewhere: bool) -> Row:
    """``elsewhere``: whether some variants ran on another device than the CPU."""
    cost, speed = variant.cost, speeds.in_passes(variant)
    assert cost is not None  # only priced variants have a row
    memory = cost.device_memory.reserved_bytes if cost.device_memory else cost.peak_memory_bytes
    return {
        Column("Variant", "name"): variant.name,
        **({Column("Runs on"): variant.device} if elsewhere else {}),
        Column("Latency, N = 1", "number"): numbers.known(cost.latency_ms, numbers.latency_interval),
        Column("Best throughput", "number"): numbers.throughput_interval(speed.interval) if speed else None,
        Column("at N", "number"): numbers.count(speed.batch_size) if speed else None,
        Column("Size", "number"): numbers.size(cost.size_bytes),
        Column("Peak memory", "number"): numbers.known(memory, numbers.size),
        Column("Drift", "number"): numbers.known(cost.drift, numbers.percent),
    }


def _per_n(variant: VariantResult) -> list[Row]:
    timed = variant.cost.throughput_img_s if variant.cost else {}
    return [
        {
            Column("Variant", "name"): variant.name,
            Column("N", "number"): n,
            Column("Throughput", "number"): numbers.throughput_interval(i),
            Column("Timings", "number"): numbers.count(i.n),
        }
        for n, i in timed.items()
    ]


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
    if elsewhere := any(variant.device != "cpu" for variant in costed):
        caption += (
            " On a GPU: the device's own time of the network, copies from and to the host left out, and the memory "
            "that torch took from the device."
        )
    written: list[Block] = [table_of(caption, (_row(v, elsewhere) for v in costed))]
    if rows := [row for v in costed for row in _per_n(v)]:
        per_n = table_of("Images a second: medians with 95 % limits.", rows)
        written.append(Details("Throughput per N", (per_n,)))
    return written


SECTION = Section(order=95, title="Cost", show="folded", write=blocks)
