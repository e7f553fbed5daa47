"""Variant by variant: everything that is known of one, folded under its name."""

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.pipeline.records.wording import clause
from isobatch.reports import views
from isobatch.reports.blocks import STATE_SIGNS, Absent, Block, Details, Heading, Paragraph, line
from isobatch.reports.sections import Section, all_sections, write_one

_FIRST, _LAST = "verdicts", "repairs"
"""Sections of the whole study that a chapter repeats for its variant, because they belong to its story."""


def _opening(variant: VariantResult) -> Paragraph:
    if variant.status != "measured":
        remedy = f" What to do: {variant.remedy}." if variant.remedy else ""
        return Paragraph(line(f"{variant.status.capitalize()}: {variant.reason or 'no reason was given'}.{remedy}"))
    what = f"{variant.summary}. " if variant.summary else ""
    why = clause(variant.decided_by.why) if variant.decided_by else "no comparison was made"
    return Paragraph(line(f"{what}Verdict: {views.state(variant)}, because {why}."))


def _told(alone: Study) -> list[Block]:
    """Every part that has something to say, under its title; last, and each once, why the others have not."""
    page: list[Block] = []
    absent: list[Absent] = []
    for name in (_FIRST, *(section.name for section in all_sections() if section.show == "chapter"), _LAST):
        written = write_one(name, alone)
        reasons = [block for block in written.blocks if isinstance(block, Absent)]
        if len(reasons) < len(written.blocks):
            page += [Heading(written.title), *written.blocks]
        else:
            absent += [why for why in reasons if why not in absent]
    return page + absent


def _chapter(study: Study, variant: VariantResult) -> Details:
    alone = views.only(study, variant)
    page: list[Block] = [_opening(variant)]
    if variant.status == "measured" and variant.role == "candidate":
        page += _told(alone)
    state = views.state(variant)
    title = f"{STATE_SIGNS.get(state, '')} {variant.name}: {state}".strip()
    return Details(title, tuple(page), views.anchor(variant.name))


def blocks(study: Study) -> list[Block]:
    """One chapter a variant; a sentence where the study holds none."""
    if not study.variants:
        return [Paragraph(line("The study holds no variant."))]
    return [_chapter(study, variant) for variant in study.variants]


SECTION = Section(order=66, title="Variant by variant", show="folded", write=blocks)
