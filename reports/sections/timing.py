"""Where the time went."""

from isobatch.pipeline.records.study import Study
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Definitions, Line, Paragraph, Table, line
from isobatch.reports.sections import Section


def blocks(study: Study) -> list[Block]:
    """Wall time, forward passes and memory; the stages one by one."""
    if (timing := study.timing) is None:
        return [Paragraph(line(f"Not recorded: {views.not_yet(study)}."))]
    passes = f"{numbers.count(timing.forward_passes)} calls, {numbers.count(timing.images_passed)} images"
    facts: list[tuple[str, Line]] = [
        ("Wall time", line(numbers.seconds(timing.wall_s))),
        ("In the calls of the evidence", line(f"{numbers.seconds(timing.forward_s)} ({passes})")),
    ]
    if timing.warm_up_s:
        facts.append(
            ("In calls ahead of them", line(f"{numbers.seconds(timing.warm_up_s)}, of each N before it is timed"))
        )
    if timing.kept_jobs:
        facts.append(("Taken from an unfinished run", line(numbers.counted(timing.kept_jobs, "job"))))
    if timing.workers > 1 or timing.machines > 1:
        where = numbers.counted(timing.machines, "machine")
        facts.append(("Side by side", line(f"up to {numbers.counted(timing.workers, 'worker')} on {where}")))
    if timing.peak_memory_bytes is not None:
        facts.append(("Peak memory, all processes", line(numbers.size(timing.peak_memory_bytes))))
    page: list[Block] = [Definitions(tuple(facts))]
    if timing.stages:
        columns = (Column("Stage"), Column("Time", "number"))
        rows = tuple((stage, numbers.seconds(spent)) for stage, spent in timing.stages.items())
        page.append(Table("Stages of the study.", columns, rows))
    return page


SECTION = Section(order=140, title="Where the time went", show="folded", write=blocks)
