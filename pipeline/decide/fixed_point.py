"""Does fixed point make the results batch-invariant? Answered from what the int8 variants did, not from theory."""

from collections.abc import Iterable, Sequence
from typing import Literal

from isobatch.pipeline.records.study import Answer, Comparison, InvarianceAnswer, VariantResult
from isobatch.pipeline.records.wording import (
    FAR_APART_ULP,
    condition_words,
    counted,
    counted_comparisons,
    listed,
    number,
    out_of,
    sizes,
    together,
)

QUESTION = "Does fixed point make the results batch-invariant?"


def answer(variants: Sequence[VariantResult]) -> Answer:
    """The answer over the int8 variants (precision ``int8...``) of a study, with the evidence of each.

    yes: all that could be judged are invariant; no: none is; depends: some are. None: no int8 variant could be judged.
    """
    asked = [variant for variant in variants if variant.precision.startswith("int8")]
    parts = [_judge(variant) for variant in asked]
    verdict, claim = _claim(parts)
    judged = {part.variant for part in parts if part.invariant is not None}
    scoped = [variant for variant in asked if variant.name in judged]
    scope = [comparison for variant in scoped for comparison in _batched(variant)]
    unjudged = [part.variant for part in parts if part.invariant is None]
    sentence = f"{claim} ({_scope(scope, scoped)})." if scope else f"{claim}."
    if unjudged and judged:
        sentence += f" Not judged: {listed(unjudged)}."
    return Answer(question=QUESTION, verdict=verdict, sentence=sentence, by_variant=parts)


def _claim(parts: Sequence[InvarianceAnswer]) -> tuple[Literal["yes", "no", "depends"] | None, str]:
    same = [part.variant for part in parts if part.invariant is True]
    other = [part.variant for part in parts if part.invariant is False]
    kept, changed = "gave every image the bytes of its singles", "changed output bytes with the batch"
    if same and other:
        return "depends", f"It depends on the implementation: {listed(same)} {kept}, {listed(other)} {changed}"
    if same:
        return "yes", f"Yes, as far as tested: {listed(same)} {kept}"
    if other:
        return "no", f"No: {listed(other)} {changed}"
    if parts:
        whys = together((part.why.rstrip("."), part.variant) for part in parts)
        reasons = "; ".join(why if len(whys) == 1 else f"{listed(names)}: {why}" for why, names in whys.items())
        return None, f"No answer: {listed(part.variant for part in parts)} could not be judged. {reasons}"
    return None, "No answer: no int8 variant was asked for"


def _judge(variant: VariantResult) -> InvarianceAnswer:
    """A difference counts on every input set of a repeatable variant; equality only where the outputs were valid."""

    def judged(invariant: bool | None, why: str) -> InvarianceAnswer:
        return InvarianceAnswer(variant=variant.name, invariant=invariant, why=why)

    if variant.status != "measured":
        return judged(None, f"Not measured ({variant.status}): {variant.reason}.")
    effective = variant.effective
    layers = f"; {effective.int8_layers} of {effective.weight_layers} weight layers ran in int8." if effective else "."
    if effective is not None and effective.int8_layers == 0:
        return judged(None, f"Not fixed point at all: 0 of {effective.weight_layers} weight layers ran in int8.")
    said = {of_inputs.verdict: of_inputs.decided_by.why for of_inputs in variant.by_inputs}
    if "not-repeatable" in said:
        return judged(None, said["not-repeatable"])
    compared = _batched(variant)
    differing = [comparison for comparison in compared if not comparison.bitwise_equal]
    if differing:
        return judged(False, f"{_largest(differing)}{layers}")
    for verdict in ("batch-variant", "top1-stable"):
        if verdict in said:
            return judged(False, said[verdict])
    valid = {of_inputs.inputs for of_inputs in variant.by_inputs if of_inputs.verdict == "batch-invariant"}
    equal = [comparison for comparison in compared if comparison.inputs in valid]
    if not equal:
        return judged(None, said.get("invalid", "No batch was run beside the singles."))
    invalid = [of_inputs.inputs for of_inputs in variant.by_inputs if of_inputs.verdict == "invalid"]
    left = f"; {listed(invalid)} not counted, its outputs are invalid" if invalid else ""
    elements = sum(comparison.n_elements for comparison in equal)
    made = f"{counted_comparisons(len(equal))} ({_scope(equal, [variant])})"
    why = f"None of {counted(elements, 'element')} differs in {made}"
    return judged(True, f"{why}{left}{layers}")


def _batched(variant: VariantResult) -> list[Comparison]:
    return [
        comparison
        for comparison in variant.comparisons
        if comparison.kind in ("batch-vs-singles", "position", "neighbours", "copies")
    ]


def _largest(differing: Sequence[Comparison]) -> str:
    """The largest difference from the singles; of one that shows only against another batch, from that."""
    from_singles = [comparison for comparison in differing if comparison.kind == "batch-vs-singles"]
    comparison = max(from_singles or differing, key=lambda item: item.max_abs or 0.0)
    images = f"{out_of(comparison.n_images - comparison.n_images_equal, comparison.n_images, 'image')}"
    elements = f"{out_of(comparison.n_elements_differing, comparison.n_elements, 'element')}"
    extent = f", by up to {number(comparison.max_abs)}" if comparison.max_abs is not None else ""
    steps = (
        f" ({number(comparison.max_ulp)} steps of the output's type)"
        if comparison.max_ulp and comparison.max_ulp < FAR_APART_ULP
        else ""
    )
    where = f"{comparison.inputs}, N = {comparison.batch_size}, {condition_words(comparison.condition)}"
    return f"{images} and {elements} differ{extent}{steps} ({where})"


def _scope(compared: Sequence[Comparison], variants: Iterable[VariantResult]) -> str:
    """``4 images of seed and 40 images of photos, N = 2, 4 and 8; 2 threads, isa native``: all images that were run at
    one N or another, of the sets compared."""
    judged = [of_inputs for variant in variants for of_inputs in variant.by_inputs]
    n_images = {comparison.inputs: 0 for comparison in compared}
    for name, n in [(c.inputs, c.n_images) for c in compared] + [(j.inputs, j.n_images) for j in judged]:
        if name in n_images:
            n_images[name] = max(n_images[name], n)
    sets = listed(f"{counted(n, 'image')} of {name}" for name, n in n_images.items())
    conditions = dict.fromkeys(condition_words(c.condition) for c in compared if c.kind == "batch-vs-singles")
    return "; ".join([f"{sets}, {sizes(c.batch_size for c in compared)}", *conditions])
