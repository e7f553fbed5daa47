"""What was not run, was unavailable or failed, and what to do about it."""

from isobatch.pipeline.records.study import Study
from isobatch.reports import views
from isobatch.reports.blocks import Block, Column, Paragraph, Table, line
from isobatch.reports.sections import Section


def blocks(study: Study) -> list[Block]:
    """The variants that could not be measured with their remedies, and what was planned and left out."""
    page: list[Block] = []
    absent = tuple((v.name, v.status, v.reason, v.remedy) for v in study.variants if v.status != "measured")
    if absent:
        columns = (Column("Variant", "name"), Column("State", "state"), Column("Why"), Column("What to do"))
        page.append(Table("Variants without a measurement.", columns, absent))
    left_out = tuple((*planned, views.listing(names)) for planned, names in views.not_run(study).items())
    if left_out:
        columns = (Column("Inputs"), Column("What"), Column("Why"), Column("Variants"))
        page.append(Table("Planned comparisons that were not run.", columns, left_out))
    return page or [Paragraph(line("Everything that was planned was run."))]


SECTION = Section(order=120, title="Not run, unavailable, failed", show="folded", write=blocks)
