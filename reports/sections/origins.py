"""Where the difference starts: how many layers, of what kinds, and whether the list is proved complete."""

from collections import Counter
from collections.abc import Iterable, Sequence

from isobatch.pipeline.decide.demands import MIXES
from isobatch.pipeline.records.study import Locating, Origin, Study, VariantResult
from isobatch.pipeline.repair.records import PROOF
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Absent, Block, Bullets, Code, Column, Line, Paragraph, Row, line, table_of
from isobatch.reports.sections import Section

_SAID = {"proved": "Proved complete", "incomplete": "Incomplete", "not proved": "Not proved complete"}


_SEARCH = {
    "default": "The search was the default one, bounded so that a study stays short; --explain full seeks longer.",
    "full": "The search was full (--explain full): at every N up to the images captured, with many drawn inputs and "
    "placements on ties for each layer, without a time limit.",
}


def kinds(origins: Sequence[Origin]) -> str:
    """The kinds of layer with the number of origins of each, most first: ``conv2d (11), linear (1)``."""
    return ", ".join(f"{kind} ({n})" for kind, n in Counter(origin.kind for origin in origins).most_common())


def extent(variant: VariantResult) -> str | None:
    """How many of the layers are origins: ``12 of 126``."""
    if variant.origins is None:
        return None
    n = numbers.count(len(variant.origins))
    return f"{n} of {numbers.count(variant.locating.layers)}" if variant.locating else n


def starts_in(origins: Sequence[Origin]) -> str | None:
    """The origin that runs first, and the one of the largest difference over its layer's values, if that is another."""
    if not origins:
        return None
    first = origins[0]
    largest = max(origins, key=lambda origin: origin.max_abs_relative or 0.0)
    return first.layer if largest is first else f"{first.layer}; most in {largest.layer}"


def _completeness(study: Study, variant: VariantResult) -> tuple[str, str]:
    """Whether the list of origins is complete, in a word, and why one may say so."""
    if variant.origins_complete:
        proof = next((repair for repair in variant.repairs or [] if repair.name == PROOF), None)
        over = f", over {proof.scope}" if proof and proof.scope else ""
        return "proved", f"with exactly these layers in one fixed shape no output depended on N any more{over}"
    if not variant.origins:
        return "incomplete", "no layer differed on its own, and yet the outputs do"
    if variant.repairs is None:
        mixed = study.mixing is not None and study.mixing.mixes
        why = MIXES if mixed else "the study was asked not to repair (--no-repair)"
        return "not proved", f"the proof is a repair, and {why}"
    tried = next((repair for repair in variant.repairs if repair.name == PROOF), None)
    if tried is None or tried.state == "does-not-apply":
        return "not proved", "its layers could not be put in one fixed shape to see whether the difference goes"
    if tried.state == "out-of-time":
        return "not proved", "the time for repairs was over before the proof, which is a repair, was decided"
    if tried.state == "not-tried":
        return "not proved", f"the proof, which is a repair, was not tried ({tried.note.rstrip('.')})"
    if tried.batch_invariant is None:
        return "not proved", f"the proof, which is a repair, could not be carried out ({tried.note.rstrip('.')})"
    changed = numbers.counted(tried.layers, "layer")
    if tried.batch_invariant:
        return "incomplete", f"with these layers in one fixed shape outputs still differed; it took {changed}"
    return "incomplete", f"even with {changed} in one fixed shape outputs still differ"


def _proofs(study: Study, looked: Sequence[VariantResult]) -> Bullets:
    """The proof of each list in words, once for all variants of which the same can be said."""
    names = views.together((_completeness(study, variant), variant.name) for variant in looked)
    said = (
        line(f"{_SAID[word]} for ", *views.named(study, views.listing(who, 20)), f": {why}.")
        for (word, why), who in names.items()
    )
    return Bullets(tuple(said))


def _row(study: Study, variant: VariantResult) -> Row:
    sought = variant.locating
    return {
        Column("Variant", "name"): variant.name,
        Column("Origins", "number"): extent(variant),
        Column("Starts in"): starts_in(variant.origins or []),
        Column("Kinds"): kinds(variant.origins or []) or None,
        Column("List", "state"): _completeness(study, variant)[0],
        Column("Tried", "number"): numbers.count(sought.trials) if sought else None,
        Column("Detection limit", "number"): numbers.one_of(sought.smallest_rate) if sought else None,
    }


def _limits(name: str, sought: Locating) -> list[Line]:
    """What the search could not see, each as a sentence."""
    limits = []
    if missed := sought.layers_not_replayable:
        which = views.listing(missed, 4)
        limits.append(
            line(Code(name), f": {numbers.counted(len(missed), 'layer')} could not be replayed alone ({which}).")
        )
    if not sought.instrumented_bitwise_equal:
        limits.append(
            line(Code(name), ": looking inside changed its output, so that what was seen may not be what is deployed.")
        )
    if sought.note:
        limits.append(line(Code(name), f": {sought.note.rstrip('.')}."))
    return limits


def holds_for(variants: Iterable[VariantResult]) -> str:
    """The N, threads and image sizes that what was found out by replaying layers holds for, in words."""
    sought = [v.locating for v in variants if v.locating]
    sizes = sorted({n for locating in sought for n in locating.batch_sizes})
    at = [locating.condition for locating in sought if locating.condition]
    threads = sorted({condition.threads for condition in at})
    pixels = sorted({condition.image_size for condition in at})
    parts = [numbers.batch_sizes(sizes) and f"N = {numbers.batch_sizes(sizes)}"]
    if at:
        parts.append(f"{views.listing(map(str, threads))} {'thread' if threads == [1] else 'threads'}")
        parts.append(f"{views.listing(map(str, pixels))} pixels")
    return ", ".join(part for part in parts if part)


def _innocent(looked: Sequence[VariantResult]) -> list[Block]:
    guilty = {origin.kind for v in looked for origin in v.origins or []}
    innocent = sorted({kind for v in looked if v.locating for kind in v.locating.innocent_kinds} - guilty)
    if not innocent:
        return []
    text = (
        f"Innocent at {holds_for(looked)}: no layer of these kinds was an origin in any of them: {', '.join(innocent)}."
    )
    return [Paragraph(line(text))]


def blocks(study: Study) -> list[Block]:
    """One row for each variant that was looked into, the proof in words, the innocent, and the limits of the search."""
    looked = [variant for variant in study.variants if variant.origins is not None]
    absent: list[Block] = [Absent(why) for why in views.unexplained(study)]
    if not looked:
        return absent
    sets = sorted({v.locating.inputs for v in looked if v.locating})
    caption = (
        "Origins: layers whose output for an image depends on N although their input, byte for byte, does not; all "
        f"others only carry it on. Every layer was replayed alone on identical bytes{' of ' if sets else ''}"
        f"{views.listing(sets)}, on drawn data and, if an integer layer, on rounding ties. "
        "Starts in: the first that runs, and the one of the largest difference over its values, if that is another. "
        "Tried: output elements compared. Detection limit: in layers reported as innocent, a difference in more than "
        "1 of this many elements would have been found (95 %, assuming independent elements)."
    )
    searches = sorted({v.locating.search for v in looked if v.locating})
    limits = [words for v in looked if v.locating for words in _limits(v.name, v.locating)]
    seen = [v.locating.instrumented_bitwise_equal for v in looked if v.locating]
    unchanged = [Paragraph(line("Looking inside changed no bit of any output."), small=True)] if all(seen) else []
    return [
        table_of(caption, (_row(study, variant) for variant in looked)),
        _proofs(study, looked),
        *_innocent(looked),
        *(Paragraph(line(_SEARCH[word]), small=True) for word in searches),
        *([Bullets(tuple(limits))] if limits else []),
        *unchanged,
        *absent,
    ]


SECTION = Section(order=52, title="Where the difference starts", show="open", write=blocks)
