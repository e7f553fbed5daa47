"""The original post's two suspicions, BatchNorm and out-of-order execution, answered from this study's evidence."""

from collections.abc import Iterator

from isobatch.pipeline.records.study import Study
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Bullets, Line, Paragraph, line
from isobatch.reports.sections import Section
from isobatch.reports.sections.original_post import is_original_question
from isobatch.reports.sections.origins import holds_for

_SUSPECT = "batch-norm"


def blocks(study: Study) -> list[Block]:
    """BatchNorm, then the order of execution: guilty or not, in which variants, on how much evidence.

    Nothing in a study of another network or of other inputs.
    """
    if not is_original_question(study):
        return []
    page = [*_batch_norm(study), *_order(study)]
    if not page:
        return [Paragraph(line("Neither can be answered: no layer was replayed alone and no pass was repeated."))]
    asked = "The post suspected BatchNorm first and execution out of order next. This study's evidence on both:"
    return [Paragraph(line(asked)), Bullets(tuple(page))]


def _batch_norm(study: Study) -> Iterator[Line]:
    looked = [v for v in study.variants if v.locating and v.origins is not None]
    guilty = [v.name for v in looked if any(origin.kind == _SUSPECT for origin in v.origins or [])]
    innocent = [v.name for v in looked if v.locating and _SUSPECT in v.locating.innocent_kinds]
    without = [v.name for v in looked if v.name not in guilty and v.name not in innocent]
    if guilty:
        layers = numbers.counted(
            sum(origin.kind == _SUSPECT for v in looked for origin in v.origins or []), "such layer"
        )
        yield views.named(study, f"BatchNorm is guilty in {_names(guilty)}: {layers} differ on equal input.")
    if innocent:
        scope = holds_for(v for v in looked if v.name in innocent)
        text = (
            f"BatchNorm is innocent in {_names(innocent)} ({scope}): replayed alone on identical bytes, none of its "
            "layers gave an image other bytes in the batch. Those that differ in the deployed run only carry on what "
            "a layer before them began."
        )
        yield views.named(study, text)
    if looked and (invariant := [v.name for v in views.candidates(study) if v.verdict == "batch-invariant"]):
        yield views.named(study, f"In {_names(invariant)} no output differed at any N, so that no layer can be guilty.")
    if without:
        why = "it is folded into the convolution before it, not there, or could not be replayed alone"
        text = f"In {_names(without)} none could be tried: {why}."
        yield views.named(study, text)


_HOW = {
    True: (
        "Every N was run again in a fresh process that ran the sizes in the opposite order, so that other batch sizes "
        "came before it, and where a size has few calls once more in the same process after the others"
    ),
    False: (
        "Some images alone and the first batch of the largest N were run again in a fresh process in which no other "
        "batch size came before (--thorough repeats every N)"
    ),
}
"""How calls were repeated, by whether the study was thorough."""


def _order(study: Study) -> Iterator[Line]:
    """Equal repeats: an order of summation that changed from run to run would show in them."""
    every = {v.name: views.comparisons(v, "repeat") for v in views.candidates(study)}
    repeated = {name: compared for name, compared in every.items() if compared}
    made = [comparison for same_inputs in repeated.values() for comparison in same_inputs]
    if not made:
        return
    unequal = [name for name, same_inputs in repeated.items() if not all(c.bitwise_equal for c in same_inputs)]
    equal = sum(c.bitwise_equal for c in made)
    scope = (
        f"{numbers.count(equal)} of the {numbers.counted(len(made), 'repeat comparison')} of "
        f"{numbers.counted(len(repeated), 'variant')} bit-equal"
    )
    how = _HOW[bool(study.config.get("thorough"))]
    if unequal:
        yield views.named(study, f"Execution out of order cannot be ruled out for {_names(unequal)}: {scope}. {how}.")
        return
    yield views.named(
        study,
        f"Execution out of order is no cause: {scope}. {how}. An order that varied from run to run would have shown; "
        "what depends on N is fixed by N.",
    )


def _names(names: list[str]) -> str:
    return views.listing(names, 20)


SECTION = Section(order=61, title="The post's two suspects", show="open", write=blocks)
