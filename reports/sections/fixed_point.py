"""Does fixed point make the results batch-invariant? Each int8 variant's evidence."""

from isobatch.pipeline.records.study import Study
from isobatch.reports import views
from isobatch.reports.blocks import Block, Column, Paragraph, Table, line
from isobatch.reports.sections import Section

_WORDS = {True: "yes", False: "no", None: "not known"}


def blocks(study: Study) -> list[Block]:
    """One row for each int8 variant; the answer's sentence alone where there is none."""
    if (answer := study.answer) is None:
        return [Paragraph(line(f"Not answered: {views.not_yet(study)}."))]
    columns = (Column("Variant", "name"), Column("Invariant", "state"), Column("Evidence"))
    rows = tuple((part.variant, _WORDS[part.invariant], part.why) for part in answer.by_variant)
    if not rows:
        return [Paragraph(line(answer.sentence))]
    return [Table("Each int8 variant on this machine, in this scope.", columns, rows)]


SECTION = Section(order=50, title="Does fixed point make it batch-invariant?", show="open", write=blocks)
