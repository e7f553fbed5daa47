"""With labels: does the accuracy depend on the batch size?"""

from collections.abc import Sequence

from isobatch.pipeline.compare.accuracy_by_batch_size import SEVERITY, worst_dependence
from isobatch.pipeline.decide.policy import DEFAULT_MAX_DROP_POINTS
from isobatch.pipeline.records.study import AccuracyAtN, BatchAccuracy, Study, VariantResult
from isobatch.pipeline.records.wording import between, condition_words
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Column, Details, Line, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section
from isobatch.reports.sections.accuracy import why_unmeasured

_UNSEEN = "unseen"
_NAMED = 3  # variants that are named where the same is said of more
_UNUSABLE = ("not-repeatable", "invalid")

Judged = tuple[VariantResult, BatchAccuracy]


def sentence(study: Study, brief: bool = False) -> Line | None:
    """The answer for all variants in one go; None where nothing labelled was run batched. ``brief``: one line of it."""
    groups = _groups(study)
    judged = sum(len(group) for _, group in groups)
    parts: list[str] = []
    for depends, group in groups:
        said, names = _said(depends, group), [variant.name for variant, _ in group]
        if brief:
            many = f"{len(group)}{'' if any('variants:' in part for part in parts) else ' variants'}"
            parts.append(f"{names[0] if len(group) == 1 else many}: {said}")
        else:
            every = f"all {judged} variants" if len(group) == judged > _NAMED else views.listing(names, _NAMED + 1)
            said = said if parts else f"{said[:1].upper()}{said[1:]}"
            parts.append(f"{said} for {every} ({_figures(depends, group)})")
    return views.named(study, f"{'; '.join(parts)}.") if parts else None


def _groups(study: Study) -> list[tuple[str | None, list[Judged]]]:
    """The variants that can be judged by their answer, the worst first."""
    usable = [variant for variant in views.candidates(study) if variant.verdict not in _UNUSABLE]
    judged = [(variant, accuracy) for variant in usable if (accuracy := worst_dependence(variant))]
    order = (*reversed(SEVERITY[1:]), _UNSEEN, "no")
    every = [(depends, [pair for pair in judged if _answer(pair[1]) == depends]) for depends in order]
    return [(depends, group) for depends, group in every if group]


def _answer(accuracy: BatchAccuracy) -> str | None:
    """The answer in a word: that no change was seen says "no" only where the bound does, for the margin asked."""
    if accuracy.changed:
        return accuracy.depends
    said = accuracy.margin_points is not None and accuracy.changed_upper95 <= accuracy.margin_points / 100
    return "no" if said else _UNSEEN


def _unseen(group: Sequence[Judged]) -> str:
    """``no change seen in 4 to 16 images, too few to say``: that where only many changes are ruled out."""
    asked = [accuracy.margin_points for _, accuracy in group if accuracy.margin_points is not None]
    limit = min(asked, default=DEFAULT_MAX_DROP_POINTS) / 100
    few = ", too few to say" if max(accuracy.changed_upper95 for _, accuracy in group) > limit else ""
    fewest, most = (pick(accuracy.singles.n for _, accuracy in group) for pick in (min, max))
    span = "" if fewest == most else f"{numbers.count(fewest)} to "
    return f"no change seen in {span}{numbers.counted(most, 'image')}{few}"


def _said(depends: str | None, group: Sequence[Judged]) -> str:
    """The answer in words, without figures."""
    margin = numbers.margin(group[0][1].margin_points)
    return {
        "no": f"no, {_unseen(group)}",
        _UNSEEN: _unseen(group),
        "equivalent": f"within {margin}",
        None: "top-1 changed, no margin given (--equivalence-margin)",
        "undecided": "undecided",
        "not-equivalent": f"yes, beyond {margin}",
    }[depends]


def _figures(depends: str | None, group: Sequence[Judged]) -> str:
    if depends not in ("no", _UNSEEN):
        against = f"against {numbers.margin(group[0][1].margin_points)}: " if depends == "undecided" else ""
        return f"{against}{_worst(group)}"
    bound = numbers.at_most(max(accuracy.changed_upper95 for _, accuracy in group))
    return f"{bound} of images change at some tested N, with 95 % confidence"


def _worst(group: Sequence[Judged]) -> str:
    """The variant of the group whose accuracy changed most: how many top-1, and by how much."""
    variant, accuracy = max(group, key=lambda p: (abs(_farthest(p[1]).change), p[1].changed / p[1].singles.n))
    at_n = _farthest(accuracy)
    at = f"{f'with {variant.name} ' if len(group) > 1 else ''}at N = {at_n.batch_size}"
    events = f"{numbers.count(accuracy.changed)} of {numbers.count(accuracy.singles.n)} top-1 changed"
    return f"{events}, {numbers.at_most(accuracy.changed_upper95)}; accuracy {_change(at_n)} {at}"


def _farthest(accuracy: BatchAccuracy) -> AccuracyAtN:
    """The N at which the limits of the change lie farthest from none."""
    return max(accuracy.at, key=lambda at_n: (abs(at_n.change), max(-at_n.change_low95, at_n.change_high95)))


def _change(at_n: AccuracyAtN) -> str:
    limits = between(at_n.change_low95, at_n.change_high95, numbers.signed_points)
    return f"{numbers.signed_points(at_n.change)} points ({limits})"


def _on(accuracy: BatchAccuracy) -> str:
    return f"{accuracy.inputs}, {condition_words(accuracy.condition, pixels=True)}"


def _row(variant: VariantResult, accuracy: BatchAccuracy) -> Row:
    worst = _farthest(accuracy)
    unusable = f"not judged: {variant.verdict}" if variant.verdict in _UNUSABLE else None
    return {
        Column("Variant", "name"): variant.name,
        Column("On"): _on(accuracy),
        Column("Depends on N?"): unusable or _said(_answer(accuracy), [(variant, accuracy)]),
        Column("Top-1 changed at some N", "number"): numbers.events(
            accuracy.changed, accuracy.singles.n, accuracy.changed_upper95
        ),
        Column("Largest change of accuracy", "number"): f"{_change(worst)} at N = {worst.batch_size}"
        if accuracy.changed
        else "none at any N",
    }


def _row_n(variant: VariantResult, accuracy: BatchAccuracy, at_n: AccuracyAtN) -> Row:
    return {
        Column("Variant", "name"): variant.name,
        Column("On"): _on(accuracy),
        Column("N", "number"): numbers.count(at_n.batch_size),
        Column("Top-1", "number"): numbers.percent(at_n.top1),
        Column("Top-1 changed", "number"): numbers.events(at_n.changed, at_n.n, at_n.changed_upper95),
        Column(
            "Right only alone / batched", "number"
        ): f"{numbers.count(at_n.only_singles_right)} / {numbers.count(at_n.only_batched_right)}",
        Column("Change (95 %)", "number"): _change(at_n),
        Column("McNemar p, by Holm", "number"): numbers.real(at_n.mcnemar_holm),
    }


def blocks(study: Study) -> list[Block]:
    """The answer, a row for each variant, labelled set and condition, and folded one for each N."""
    every = [(variant, accuracy) for variant in views.candidates(study) for accuracy in variant.batch_accuracy or []]
    if not every:
        return [Absent(line("No labelled input set was run batched", *why_unmeasured(study), "."))]
    answered = sentence(study)
    margins = {accuracy.margin_points for _, accuracy in every if accuracy.margin_points is not None}
    against = f" Margin: {views.listing(map(numbers.margin, sorted(margins)))}." if margins else ""
    caption = (
        "The labelled images of the comparisons, batched against their own singles, paired. A share comes with its "
        f"exact one-sided 95 % bound, a change with its exact paired 95 % limits.{against} More --images narrow both."
    )
    per_n = (
        "McNemar's exact test, corrected over the N of one variant and condition (Holm), stands beside and decides "
        "nothing: a large p is no evidence that nothing changed."
    )
    rows = (_row_n(variant, accuracy, at_n) for variant, accuracy in every for at_n in accuracy.at)
    return [
        *([Paragraph(answered)] if answered else []),
        table_of(caption, (_row(variant, accuracy) for variant, accuracy in every)),
        Details("Accuracy at each N", (table_of(per_n, rows),)),
    ]


SECTION = Section(order=100.5, title="Accuracy and batch size", show="folded", write=blocks)
