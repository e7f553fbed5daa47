"""What ``check`` found, on one screen, and as Markdown."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from isobatch.pipeline.explain.causes import all_causes
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.wording import (
    NOT_ALIKE,
    SIGNED_ZERO,
    batch_classes,
    counted,
    number,
    out_of,
    percent,
    sizes,
)
from isobatch.pipeline.tools.check.records import CheckReport, VariantChecked
from isobatch.pipeline.user.results import BatchSize, OriginInShort
from isobatch.reports.blocks import Definitions, Heading, line
from isobatch.reports.escape import clean
from isobatch.reports.files.markdown import to_markdown

WIDTH = 100
_LABEL = 12

_SIGNS = {Exit.DONE: "✓", Exit.NOT_MET: "×", Exit.PARTIAL: "?"}


def screen(report: CheckReport) -> Iterator[str]:
    """The lines: each variant's verdict with its scope, how far, where it starts; then what to do next."""
    for variant in report.variants:
        yield from lines_of(report, variant)
    for label, text in _shared(report):
        yield from _wrapped(label, text)
    yield f"  {'next':<{_LABEL}}{clean(report.next)}"


def lines_of(report: CheckReport, variant: VariantChecked) -> Iterator[str]:
    """The lines of one variant."""
    yield clean(_title(report, variant))
    for label, text in _facts(variant):
        yield from _wrapped(label, text)


def markdown(report: CheckReport) -> str:
    """What the screen says, for a pull request's comment or the summary of a job."""
    parts: list[Heading | Definitions] = []
    for variant in report.variants:
        parts += [Heading(_title(report, variant)), _listed(_facts(variant))]
    parts.append(_listed([*_shared(report), ("next", report.next)]))
    return "\n\n".join(filter(None, map(to_markdown, parts))) + "\n"


def _title(report: CheckReport, variant: VariantChecked) -> str:
    return f"{_SIGNS[variant.exit_code]} {report.network}, {variant.variant}: {headline(variant)}"


def _listed(facts: Iterable[tuple[str, str]]) -> Definitions:
    return Definitions(tuple((label, line(text)) for label, text in facts))


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        clean(text),
        WIDTH,
        initial_indent=f"  {label:<{_LABEL}}",
        subsequent_indent=" " * (_LABEL + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shared(report: CheckReport) -> Iterator[tuple[str, str]]:
    """What all variants that ran have in common."""
    variant = next((variant for variant in report.variants if variant.status == "measured"), None)
    if variant is not None:
        run = [n for n in report.batch_sizes if n not in variant.not_tried]
        sides = f"each alone and in batches of {sizes(run)}"
        yield "tried", f"{variant.inputs}, {sides}; {counted(variant.threads, 'thread')}; {report.cpu}"
        yield "weights", variant.weights


def headline(variant: VariantChecked) -> str:
    """The verdict in a few words, with the N that it is about."""
    if variant.verdict == "batch-invariant":
        return f"batch-invariant at {sizes(at.batch_size for at in variant.sizes)}"
    if variant.verdict == "batch-variant":
        return f"NOT batch-invariant at {sizes(at.batch_size for at in _differing(variant))}"
    return "NOT repeatable" if variant.verdict == "not-repeatable" else variant.verdict or variant.status


def _facts(checked: VariantChecked) -> Iterator[tuple[str, str]]:
    if checked.reason:
        yield "why", checked.reason
    if differing := _differing(checked):
        yield from _differences(checked, differing)
    elif checked.verdict == "batch-invariant":
        more = f"; at {sizes(checked.probed)} also in other places, beside outliers and among copies of itself"
        how = "every output byte of every example is the one that it gives alone"
        yield "how", f"{how}{more if checked.probed else ''}"
    if checked.not_tried:
        yield "not tried", f"{sizes(checked.not_tried)}: too few examples, or no time"
    for note in checked.notes:
        yield "note", note


def _differences(checked: VariantChecked, differing: Sequence[BatchSize]) -> Iterator[tuple[str, str]]:
    worst = max(differing, key=lambda at: at.max_abs if at.max_abs == at.max_abs else float("inf"))
    images = out_of(worst.n_images - worst.n_images_equal, worst.n_images, "example")
    share = worst.elements_differing / worst.elements if worst.elements else 0.0
    relative = f"{number(worst.max_abs_relative)} of the largest output"
    known = math.isfinite(worst.max_abs_relative)  # not where all outputs are 0 alone
    far = f"up to {number(worst.max_abs)}{f', {relative}' if known else ''}"
    if not worst.max_abs:
        far = SIGNED_ZERO
    if math.isnan(worst.max_abs):
        far = NOT_ALIKE
    elements = f"{out_of(worst.elements_differing, worst.elements, 'element')} ({percent(share)})"
    yield "how far", f"{far}; at N = {worst.batch_size}: {images} and {elements} differ"
    if moved := [(at.flips, at) for at in differing if at.flips is not None]:
        flips, most = max(moved, key=lambda pair: pair[0])
        changed = f"the largest output stands in another place in {out_of(flips, most.n_images, 'example')}"
        yield "answers", changed if flips else "the largest output stays in its place in every example"
    if checked.first:
        yield "starts in", _starts(checked, checked.first)
    elif checked.closed:
        yield "starts in", f"not sought: {checked.closed}"
    else:
        yield "starts in", "no layer that differs when it is run again alone: between layers, or in the whole"
    yield "cause", _cause(checked)
    if len(checked.classes) > 1:
        yield "same bytes", f"among the N of each group: {batch_classes(checked.classes)}"


def _starts(checked: VariantChecked, first: OriginInShort) -> str:
    text, largest = str(first), checked.largest
    if checked.repairable is False and largest and largest.layer != first.layer:
        return f"{largest}; {counted(checked.origins - 1, 'more origin')}, the first of them {text}"
    if checked.origins > 1:
        text += f", the first of {checked.origins} origins"
        if largest and largest.layer != first.layer:
            text += f"; the largest difference starts in {largest}"
    return text


def _cause(checked: VariantChecked) -> str:
    known = {cause.name: cause.if_supported for cause in all_causes()}
    where = f" in {checked.largest.layer}" if checked.largest and checked.origins > 1 else ""
    named = f"{checked.mechanism}{where}: {known[checked.mechanism]}" if checked.mechanism in known else ""
    if checked.mixes:
        return f"{named}; other examples in a batch of the same size change an example's row (the control)"
    why = named or "the size of the batch, or the place in it"
    return f"{why}; other examples in a batch of the same size change nothing (the control)"


def _differing(checked: VariantChecked) -> list[BatchSize]:
    return [at for at in checked.sizes if at.n_images_equal < at.n_images] if checked.verdict == "batch-variant" else []
