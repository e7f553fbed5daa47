"""The repairs that were tried: whether each holds, over what scope, and its price."""

from isobatch import PROGRAM
from isobatch.pipeline.config.config import explains
from isobatch.pipeline.decide.demands import MIXES
from isobatch.pipeline.decide.repaired_variants import SWITCH
from isobatch.pipeline.records.study import Repair, Study, VariantResult
from isobatch.pipeline.records.wording import held
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Bullets, Code, Column, Line, Paragraph, Row, codes, line, table_of
from isobatch.reports.sections import Section


def _layers(variant: VariantResult, repair: Repair) -> str | None:
    if not repair.layers:
        return None
    of = f" of {numbers.count(variant.locating.layers)}" if variant.locating else ""
    return f"{numbers.count(repair.layers)}{of}"


def _throughput(repair: Repair) -> str | None:
    """What is known, by N: ``0.91 x (0.67 to 1.42) at N = 8; 0.98 x (0.78 to 1.19) at N = 16``."""
    by_size = sorted(repair.throughput_ratio.items(), key=lambda item: int(item[0]))
    return "; ".join(f"{numbers.ratio_interval(interval)} at N = {n}" for n, interval in by_size) or None


def _what(repair: Repair) -> str:
    """The rung; of the last one, which repairs nothing, where it leads."""
    if repair.name != SWITCH:
        return repair.name
    return f"{SWITCH} to {repair.switched_to or 'another variant'}"


def _row(variant: VariantResult, repair: Repair) -> Row:
    return {
        Column("Variant", "name"): variant.name,
        Column("Repair"): _what(repair),
        Column("Bitwise", "state"): held(repair),
        Column("Layers", "number"): _layers(variant, repair),
        Column("Latency, N = 1"): numbers.known(repair.latency_ratio.get("1"), numbers.ratio_interval),
        Column("Throughput"): _throughput(repair),
    }


def _inapplicable(tried: list[tuple[VariantResult, Repair]]) -> list[Line]:
    """A sentence for all variants to which the same rungs do not apply for the same reasons."""
    unfit = views.together((variant.name, repair) for variant, repair in tried if repair.state == "does-not-apply")
    alike = views.together((_reasons(repairs), name) for name, repairs in unfit.items())
    return [line("To ", *codes(names), f" these do not apply: {text}.") for text, names in alike.items()]


def _reasons(repairs: list[Repair]) -> str:
    by_reason = views.together((repair.note.rstrip(".") or "no reason is recorded", repair.name) for repair in repairs)
    return "; ".join(f"{views.listing(names, 20)} ({why})" for why, names in by_reason.items())


def _scopes(tried: list[tuple[VariantResult, Repair]]) -> list[Block]:
    """Each scope once, with the repairs that were checked over it."""
    names = views.together((repair.scope, f"{variant.name}+{repair.name}") for variant, repair in tried if repair.scope)
    return [Paragraph(line(*codes(who), f": checked bitwise over {scope}.")) for scope, who in names.items()]


def _remarks(study: Study, tried: list[tuple[VariantResult, Repair]]) -> list[Line]:
    """Each remark once, with the repairs of which it is said; then the variants of which none was tried."""
    noted = [(v, r) for v, r in tried if r.note and r.state != "does-not-apply"]
    notes = views.together((repair.note, f"{variant.name}+{repair.name}") for variant, repair in noted)
    remarks = [line(*codes(names), f": {note.rstrip('.')}.") for note, names in notes.items()]
    for variant in study.variants:
        if variant.repairs is not None and all(repair.name == SWITCH for repair in variant.repairs):
            unknown = "its layers were not looked into" if variant.origins is None else "no origin was found"
            why = "it could not be put in one fixed shape" if variant.origins else unknown
            remarks.append(line(Code(variant.name), f": no repair was tried, because {why}."))
    return remarks


def blocks(study: Study) -> list[Block]:
    """One row for each variant and repair, the scopes they were verified over, and remarks."""
    tried = [(variant, repair) for variant in study.variants for repair in variant.repairs or []]
    if study.mixing is not None and study.mixing.mixes:
        why = "a fixed shape gives stable bytes, and the answers would depend on the others in the batch all the same"
        return [Absent(line(f"Not repaired: {MIXES}; {why}."))]
    absent: list[Block] = [Absent(why) for why in views.unexplained(study)]
    if study.config.get("repair") is False and explains(study.config):
        return [Absent(line("Not run: the study was asked not to repair (--no-repair)."))]
    page: list[Block] = []
    run = [(v, r) for v, r in tried if r.state not in ("out-of-time", "not-tried", "does-not-apply")]
    if run:
        caption = (
            "Bitwise: whether every output byte is that of the repaired variant's own singles. Layers: those changed. "
            "Latency and throughput: repaired over unrepaired, medians of alternating calls with 95 % limits, which a "
            "few calls do not give; above 1 x a latency is worse and a throughput better. Switch: no repair, but "
            "another variant in its place. A study climbs the ladder until a repair is not shown to cost anything, "
            f"within a time limit for all variants together. Memory is measured by {PROGRAM} repair: in one worker the "
            "two share theirs."
        )
        page = [table_of(caption, (_row(*pair) for pair in run))]
    page += [Paragraph(words) for words in _inapplicable(tried)]
    page += _scopes(tried)
    if remarks := _remarks(study, tried):
        page.append(Bullets(tuple(remarks)))
    return page + absent


SECTION = Section(order=56, title="What makes it batch-invariant, and what that costs", show="open", write=blocks)
