"""The closing summary: the answer, one row a variant, the choice and why, warnings, paths. It fits one screen."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from isobatch.pipeline.decide.policy import answer_obstacles
from isobatch.pipeline.decide.ranges import range_words
from isobatch.pipeline.decide.repaired_variants import native_name, untried
from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.pipeline.records.wording import clause, listed
from isobatch.reports import numbers, speeds, views
from isobatch.reports.blocks import Column, Line, Row, line, table_of, without, without_empty
from isobatch.reports.inputs_in_words import worded
from isobatch.reports.screen.rich_blocks import FittedTable, least_width, prose
from isobatch.reports.sections.answer import headline, warnings
from isobatch.reports.sections.batch_accuracy import sentence as accuracy_by_n
from isobatch.reports.sections.race import in_short, price_line

LINES = 40
_FRAME = 5  # the rule above, two blank lines, the table's head of two
_LEAST_ROWS = 14
_REASONS = 2  # stability, and accuracy where it is known: what it costs stands in lines of its own
_LEAST_WARNINGS = 3
_MARK = " ~ marks times that were not raced."  # said where it takes no line of its own
_DISPENSABLE = ("Size", "Error", "ms, 1", "Top-1", "Agrees")
"""Columns that a narrow terminal leaves out, the first first, before a number is cut."""


def summary(study: Study, paths: Mapping[str, Path], width: int) -> list[RenderableType]:
    """What to print, at most 40 lines of ``width`` columns; where the variants do not fit, the rest is counted."""
    answer, choice = _answer(study, width), _choice(study, width)
    last = [text for path in paths.values() for text in _wrapped(line(str(path)), width, 2)]
    other = views.other_answers(study)
    mended = [*(_said(study, line(other), width, 3, "yellow") if other else []), *_repairs(study, width)]
    room = LINES - _FRAME - len(answer) - len(mended) - len(choice) - len(last)
    warned = _warnings(study, width, max(_LEAST_WARNINGS, room - min(_LEAST_ROWS, len(study.variants))))
    return [*answer, Text(), *_table(study, room - len(warned), width), *mended, Text(), *choice, *warned, *last]


def _said(study: Study, words: Line, width: int, limit: int, style: str = "", indent: str = "") -> list[Text]:
    return _wrapped(worded(study, words), width, limit, style, indent)


def _wrapped(words: Line, width: int, limit: int, style: str = "", indent: str = "") -> list[Text]:
    """Prose on at most ``limit`` lines, the last one ending in an ellipsis where it was cut."""
    console = Console(width=width)
    wrapped = prose(words, style).wrap(console, width - len(indent))
    kept = list(wrapped[:limit])
    for text in kept:
        text.rstrip()
    if len(wrapped) > limit:
        kept[-1].truncate(width - len(indent) - 2)
        kept[-1].append(" …")
    return [Text(indent).append_text(text) for text in kept]


def _answer(study: Study, width: int) -> list[Text]:
    if (answer := study.answer) is None:
        return [Text(f"The question is not answered: {views.not_yet(study)}.")]
    texts = _said(study, line(answer.question), width, 2, "bold") + _said(study, line(answer.sentence), width, 4)
    if kept := [f"{inputs.name}: {views.measured_of(inputs)}" for inputs in study.inputs if inputs.kept_to_calibrate]:
        texts += _said(study, line(f"Measured of {listed(kept)}."), width, 2)
    if by_n := accuracy_by_n(study, brief=True):
        texts += _said(study, line("Does accuracy depend on N? ", *by_n), width, 1)
    return texts


def _row(study: Study, variant: VariantResult) -> Row:
    speed, cost = speeds.throughput(study, variant), variant.cost
    agrees = variant.agreement if variant.name != study.reference else None
    return {
        Column("Variant", "name"): variant.name,
        Column("Verdict", "state"): views.state(variant),
        Column("Noise", "number"): _noise(variant),
        Column("Error", "number"): views.error(study, variant, brief=True),
        Column("Agrees", "number"): numbers.short_percent(agrees.share) if agrees else None,
        Column("ms, 1", "number"): speeds.single_ms(study, variant),
        Column("img/s @ N", "number"): f"{speed.mark}{_rate(speed.interval.median)} @ {speed.batch_size}"
        if speed
        else None,
        Column("Size", "number"): numbers.size(cost.size_bytes) if cost else None,
        Column("Top-1", "number"): numbers.short_percent(variant.accuracy.top1) if variant.accuracy else None,
    }


def _noise(variant: VariantResult) -> str | None:
    """The batch noise, in a word short enough for a terminal."""
    noise = views.batch_noise(variant)
    equal = noise is not None and noise.bitwise_equal and not noise.issues
    return "none" if equal else views.difference(noise, brief=True)


def _rate(value: float) -> str | None:
    """So many a second, in a column that has little room: ``171``, ``40,670``, ``407k``, ``1.21M``."""
    if 1e6 <= value < 1e9:
        return f"{numbers.rate(value / 1e6)}M"
    return f"{value / 1000:,.0f}k" if 1e5 <= value < 1e6 else numbers.rate(value)


def _table(study: Study, room: int, width: int) -> list[RenderableType]:
    chosen = views.choice(study)
    shown = _shown(study, room, chosen)
    left_out = [variant.name for variant in study.variants if variant not in shown]
    names = [variant.name for variant in shown]
    at = names.index(chosen.name) if chosen and chosen.name in names else None
    table = table_of("All variants.", (_row(study, variant) for variant in shown), at)
    table = worded(study, without_empty(table, "Agrees", "Top-1"))
    narrow: list[str] = []
    for title in _DISPENSABLE:
        if least_width(table) > width:
            table = without(table, title)
            narrow.append(title)
    if narrow:
        left_out.append(f"the column{'s' if len(narrow) > 1 else ''} {listed(narrow)}")
    more = _wrapped(line(f"... and, in the report: {listed(left_out)}"), width, 1) if left_out else []
    return [*([FittedTable(table, no_wrap=True)] if shown else []), *more]


def _shown(study: Study, room: int, chosen: VariantResult | None) -> list[VariantResult]:
    """The variants in their order; where there is no room, the slowest of lower precision are left out."""
    if len(study.variants) <= room:
        return list(study.variants)

    def rank(variant: VariantResult) -> tuple[bool, bool, bool, float]:
        speed, mine = speeds.throughput(study, variant), chosen is not None and variant.name == chosen.name
        slowness = -speed.interval.median if speed else 0.0
        return not mine, variant.role != "reference", variant.precision != "fp32", slowness

    kept = {variant.name for variant in sorted(study.variants, key=rank)[: max(room - 1, 0)]}
    return [variant for variant in study.variants if variant.name in kept]


def _repairs(study: Study, width: int) -> list[Text]:
    """What holds and what it costs, in a few words, and what no candidate is for answers that nobody compared; nothing
    where no repair was tried.
    """
    repaired = views.repaired_variants(study)
    held = views.together((v.verdict, f"{v.name}{_mark(study, v)}") for v in repaired)
    parts = [f"Repaired, {verdict}: {', '.join(names)}." for verdict, names in held.items()]
    late = {v.name: untried(study.variants, v.name) for v in repaired if _mark(study, v)}
    if may_be_faster := [f"{name} ({remedy})" for name, remedy in late.items() if remedy]:
        parts.append(f"At most this slow: {listed(may_be_faster)}.")
    mended = {native_name(variant.name) for variant in repaired}
    failed = [v.name for v in study.variants if any(repair.batch_invariant is False for repair in v.repairs or [])]
    if unmended := [name for name in failed if name not in mended]:
        parts.append(f"No repair holds: {', '.join(unmended)}.")
    if (decided := study.recommendation) and not decided.withheld:
        changed = [v for v in repaired if views.repair_of(study, v.name).singles_as_native is False]
        barred = views.together(("; ".join(answer_obstacles(v, decided.policy)), v.name) for v in changed)
        parts += [f"No candidate: {listed(names)} ({why})." for why, names in barred.items() if why]
    return _said(study, line(" ".join(parts)), width, 4) if parts else []


def _mark(study: Study, repaired: VariantResult) -> str:
    """Its throughput over that of the unrepaired variant at its best N beyond 1, in brackets."""
    ratios = views.repair_of(study, repaired.name).throughput_ratio
    made = repaired.cost.throughput_img_s if repaired.cost else {}
    if not (priced := [n for n in ratios if n in made]):
        return ""
    n = max(priced, key=lambda n: made[n].median)
    return f" ({numbers.ratio(ratios[n].median)} at N = {n})"


def _choice(study: Study, width: int) -> list[Text]:
    decided = study.recommendation
    texts = _said(study, headline(study), width, 2, "bold")
    if decided is None:
        return texts
    reasons, indent = (decided.because, 8) if decided.withheld else (decided.because[:_REASONS], 4)
    texts += _said(study, line("Why: ", " ".join(reasons)), width, indent, indent="  ")
    if raced := in_short(study):
        said, marked = (_said(study, line(raced + more), width, 2, indent="  ") for more in ("", _MARK))
        texts += marked if study.race and len(marked) == len(said) and "…" not in marked[-1] else said
    if decided.range is not None:
        texts += _said(study, line(f"Verified: {clause(range_words(decided.range))}."), width, 2, indent="  ")
    if decided.chosen is not None:
        texts += _said(study, line("Price: ", *price_line(study)), width, 2, indent="  ")
    return texts


def _warnings(study: Study, width: int, room: int) -> list[Text]:
    """What is missing and every warning, as far as they fit into so many lines; the rest is counted."""
    warned = [line("Warning: ", *words) for words in warnings(study)]
    if absent := [v for v in study.variants if v.status != "measured"]:
        names = views.listing((f"{v.name} ({v.status}: {v.reason or 'no reason given'})" for v in absent), 3)
        warned.insert(0, line(f"Not measured: {names}"))
    texts: list[Text] = []
    for at, words in enumerate(warned):
        text = _said(study, words, width, 3, "yellow")
        if len(texts) + len(text) + (at + 1 < len(warned)) > room:
            return [*texts, Text(f"... and {numbers.counted(len(warned) - at, 'warning')} more: see the report")]
        texts += text
    return texts
