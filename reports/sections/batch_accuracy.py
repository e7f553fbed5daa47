"""With labels: does the accuracy depend on the batch size?"""

from collections.abc import Sequence

from isobatch.pipeline.compare.accuracy_by_batch_size import SEVERITY, worst_dependence
from isobatch.pipeline.decide.policy import DEFAULT_MAX_DROP_POINTS
from isobatch.pipeline.records.study import AccuracyAtN, BatchAccuracy, Dependence, Study, VariantResult
from isobatch.pipeline.records.wording import between, condition_words
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Column, Details, Line, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section
from isobatch.reports.sections.accuracy import why_unmeasured

_UNSEEN = "unseen"
_NAMED = 3  # variants that are named where the same is said of all
_UNUSABLE = ("not-repeatable", "invalid")
_ANSWERS: dict[Dependence | None, str] = {
    "no": "no: no top-1 changed",
    "equivalent": "within the margin",
    None: "no margin given",
    "undecided": "undecided",
    "not-equivalent": "yes, beyond the margin",
}


Judged = tuple[VariantResult, BatchAccuracy]


def sentence(study: Study) -> Line | None:
    """The answer for all variants in one go; None where nothing labelled was run batched."""
    judged = sum(len(group) for _, group in _groups(study))
    text = "; ".join(_said(depends, group, judged) for depends, group in _groups(study))
    return views.named(study, f"{text[:1].upper()}{text[1:]}.") if text else None


def in_short(study: Study) -> str | None:
    """The same on one line, without figures; None where nothing labelled was run batched."""
    parts: list[str] = []
    for depends, group in _groups(study):
        many = f"{numbers.count(len(group))}{'' if any('variants' in part for part in parts) else ' variants'}"
        margin = numbers.margin(group[0][1].margin_points)
        said = {
            "no": "no",
            _UNSEEN: _unseen(group),
            "equivalent": f"within {margin}",
            "undecided": "undecided",
            "not-equivalent": f"yes, beyond {margin}",
        }
        parts.append(f"{group[0][0].name if len(group) == 1 else many}: {said.get(depends or '', 'top-1 changed')}")
    return "; ".join(parts) or None


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
    """``no change seen in 16 images, too few to say``: that where only many changes are ruled out."""
    asked = [accuracy.margin_points for _, accuracy in group if accuracy.margin_points is not None]
    limit = min(asked, default=DEFAULT_MAX_DROP_POINTS) / 100
    few = ", too few to say" if max(accuracy.changed_upper95 for _, accuracy in group) > limit else ""
    return f"no change seen in {_images(group, 'image')}{few}"


def _images(group: Sequence[Judged], noun: str) -> str:
    """``16 images``; ``4 to 16 images`` where the variants ran different numbers."""
    fewest, most = (pick(accuracy.singles.n for _, accuracy in group) for pick in (min, max))
    return f"{'' if fewest == most else f'{numbers.count(fewest)} to '}{numbers.counted(most, noun)}"


def _said(depends: str | None, group: Sequence[Judged], judged: int) -> str:
    """What is said of a group of the ``judged`` variants."""
    names = views.listing((variant.name for variant, _ in group), 20)
    if len(group) == judged > _NAMED:
        names = f"all {judged} variants"
    bound = numbers.at_most(max(accuracy.changed_upper95 for _, accuracy in group))
    if depends == "no":
        of = _images(group, "labelled image")
        return f"no for {names}: no top-1 of {of} changed at any tested N ({bound} of them would, with 95 % confidence)"
    if depends == _UNSEEN:
        return f"{_unseen(group)}, for {names} ({bound} of images change at some tested N, with 95 % confidence)"
    margin = numbers.margin(group[0][1].margin_points)
    begin = {
        "equivalent": f"within {margin} for {names}",
        "undecided": f"undecided against {margin} for {names}",
        "not-equivalent": f"yes, beyond {margin}, for {names}",
        None: f"top-1 changed for {names}, and --equivalence-margin would say what matters",
    }[depends]
    return f"{begin} ({_worst(group)})"


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
        Column("Depends on N?"): unusable
        or (_unseen([(variant, accuracy)]) if _answer(accuracy) == _UNSEEN else _ANSWERS[accuracy.depends]),
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
