"""What ``run.py switches`` found, in blocks: two tables a variant, and for what they hold."""

from isobatch.pipeline.tools.switches.records import SwitchesReport, SwitchResult, VariantSwitches
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Table, line


def blocks(report: SwitchesReport) -> list[Block]:
    """For each variant what holds and what it costs, then how to read that and its scope."""
    page: list[Block] = []
    for variant in report.variants:
        if variant.status != "measured":
            page.append(Paragraph(line(f"{variant.variant} {variant.status}: {variant.reason}.")))
            continue
        page += [_table(variant), *_times(variant)]
        page += [Paragraph(line(f"{r.switch} failed: {r.reason}.")) for r in variant.results if r.status == "failed"]
    return [*page, Paragraph(line(_HOW)), Paragraph(line(_scope(report)))]


_HOW = (
    "Same bytes: every image has, byte for byte, the output it has alone, in every batch, rotated, beside an outlier, "
    "and in a second process. Bits move: single images have other bytes than as shipped, so the switch acts; one that "
    "cannot be read back and moves no bit was not seen to act. Time: of a call over that of a call as shipped, made in "
    "turn with the other process stopped; median, 95 % limits, n rounds."
)


def _table(tried: VariantSwitches) -> Table:
    columns = (
        Column("Switch"),  # as text, which may be broken: a name of forty letters would leave no room for the verdicts
        Column("Read back"),
        Column("Same bytes"),
        Column("Bits move"),
    )
    size = " x ".join(map(str, tried.image_size))
    images = numbers.counted(tried.n_images, "image")
    caption = f"{tried.variant} ({tried.runtime}): {images} of {tried.inputs}, {size}."
    return Table(caption, columns, tuple(map(_row, tried.results)))


def _row(result: SwitchResult) -> tuple[str | None, ...]:
    if result.status == "failed":
        return (result.switch, None, "failed", None)
    moves = None if result.moves_bits is None else "yes" if result.moves_bits else "no"
    return (result.switch, _read(result), _holds(result), moves)


def _times(tried: VariantSwitches) -> list[Table]:
    """In a table of their own: beside the verdicts a terminal of 80 columns has no room for them."""
    priced = [(result.switch, n, interval) for result in tried.results for n, interval in result.ratio.items()]
    if not priced:
        return []
    rounds = [interval.n for _, _, interval in priced]
    of = " to ".join(map(str, sorted({min(rounds), max(rounds)})))
    columns = Column("Switch"), Column("N", "number"), Column("Time", "number")
    rows = tuple((switch, n, numbers.ratio_interval(interval)) for switch, n, interval in priced)
    return [Table(f"{tried.variant}: calls over calls as shipped, n = {of}.", columns, rows)]


def _read(result: SwitchResult) -> str | None:
    if result.asked == "nothing":
        return None
    if result.set is None:
        return "cannot be read back" if result.moves_bits else "cannot be read back, no effect seen"
    return f"{result.read_back}" if result.set else f"could not be set; {result.read_back}"


def _holds(result: SwitchResult) -> str:
    if result.holds:
        return "yes"
    if not result.repeatable:
        return "no: not repeatable"
    flips = f", {numbers.counted(result.top1_flips, 'top-1 flip')}" if result.top1_flips else ""
    return f"no: N = {numbers.batch_sizes(result.differing_at)}{flips}"


def _scope(report: SwitchesReport) -> str:
    versions = ", ".join(
        f"{name} {report.environment.packages[name]}"
        for name in ("torch", "onnxruntime")
        if name in report.environment.packages
    )
    return (
        f"{report.model} with {report.weights} weights; N = {numbers.batch_sizes(report.batch_sizes)}; "
        f"{numbers.counted(report.threads, 'thread')}; {report.environment.cpu}; {versions}. "
        f"{views.EVIDENCE}"
    )
