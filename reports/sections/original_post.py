"""The table of the original question, taken again for every variant."""

from isobatch.pipeline.records.study import Comparison, Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section

INPUTS, NETWORK = "seed", "resnet50"
THE_POST = ("fp32 in the post", None, None, None, "1.5e-06", "1.9e-06", "1.9e-06", "3.8e-06", None)
"""The post's figures: fp32 under other weights."""


def _close(comparison: Comparison | None) -> str | None:
    if comparison is None or comparison.allclose is None:
        return None
    if comparison.bitwise_equal:
        return "bit-equal"
    return "close" if comparison.allclose else "not close"


def _at_largest_n(variant: VariantResult) -> Comparison | None:
    compared = views.comparisons(variant, "batch-vs-singles", INPUTS)
    return max(compared, key=lambda made: made.batch_size, default=None)


def _row(variant: VariantResult, against_singles: Comparison) -> Row:
    same = [c for c in views.comparisons(variant, "repeat", INPUTS) if c.condition == against_singles.condition]
    repeats = {c.batch_size: c for c in same}
    far = against_singles.percentiles or {}
    return {
        Column("Variant", "name"): variant.name,
        Column("Batched twice"): _close(repeats.get(against_singles.batch_size)),
        Column("Singles twice"): _close(repeats.get(1)),
        Column("Batched, singles"): _close(against_singles),
        **{Column(f"{p}th", "number"): numbers.known(far.get(f"p{p}"), numbers.difference) for p in (85, 90, 95, 99)},
        Column("Relative", "number"): views.difference(against_singles),
    }


def _tolerance(study: Study) -> str:
    named = (c.allclose_tolerance for v in study.variants for c in v.comparisons if c.allclose_tolerance)
    tolerance = next(named, {})
    return ", ".join(f"{name} = {numbers.real(value, 1)}" for name, value in tolerance.items())


def is_original_question(study: Study) -> bool:
    """Whether the network and one of the input sets are the post's."""
    own = bool(study.config.get("onnx"))
    return not own and study.weights.model == NETWORK and any(inputs.name == INPUTS for inputs in study.inputs)


def blocks(study: Study) -> list[Block]:
    """The post's figures, and below them each variant's on the same recipe of inputs at the largest N.

    Nothing in a study of another network or of other inputs.
    """
    if not is_original_question(study):
        return []
    taken = [(variant, made) for variant in study.variants if (made := _at_largest_n(variant))]
    if not taken:
        return [Paragraph(line(f"Not taken: no variant was compared on the {INPUTS} inputs."))]
    n = max(made.batch_size for _, made in taken)
    fewer = [f"{variant.name} at N = {made.batch_size}" for variant, made in taken if made.batch_size < n]
    tolerance = _tolerance(study)
    caption = (
        f"On the {INPUTS} inputs at N = {n}{f' ({views.listing(fewer)})' if fewer else ''}: "
        "the batch run twice, the singles run twice, batched against singles "
        f"(close: allclose{f' with {tolerance}' if tolerance else ''}), and percentiles of |batched - singles|. "
        "Relative: the largest, over the largest |logit|."
    )
    remark = (
        "The post's network had other weights, so its absolute figures are not comparable in size, only in kind; the "
        "relative ones are comparable between the variants."
    )
    rows = [_row(variant, made) for variant, made in taken]
    the_post = dict(zip(rows[0], THE_POST, strict=True))
    return [table_of(caption, [the_post, *rows]), Paragraph(line(remark), small=True)]


SECTION = Section(order=60, title="The original post's own table", show="open", write=blocks)
