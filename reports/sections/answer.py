"""What to deploy and why, on one screen."""

from typing import Literal

from isobatch.pipeline.decide.cautions import no_limit
from isobatch.pipeline.records.study import Answer, InputSet, Study
from isobatch.reports import numbers, views
from isobatch.reports.blocks import (
    STATE_SIGNS,
    Block,
    Bullets,
    Callout,
    Code,
    Definitions,
    KeyFigures,
    Line,
    Link,
    Paragraph,
    line,
)
from isobatch.reports.inputs_in_words import picture_size
from isobatch.reports.sections import Section
from isobatch.reports.sections._key_figures import key_figures, reason
from isobatch.reports.sections.batch_accuracy import sentence as accuracy_by_n
from isobatch.reports.sections.race import as_good, in_short


def headline(study: Study) -> Line:
    """The recommendation as one imperative sentence."""
    if (recommendation := study.recommendation) is None:
        return line("No recommendation was made")
    if recommendation.withheld is not None:
        return line(f"Nothing is recommended: {recommendation.withheld}")
    if recommendation.chosen is None:
        return line("No variant meets the policy")
    n, good = recommendation.batch_size, as_good(recommendation)
    if n is None:
        return line("Deploy ", Code(recommendation.chosen), *([good] if good else []))
    return line("Deploy ", Code(recommendation.chosen), f", {numbers.counted(n, 'image')} at a time{good}")


def scope(study: Study) -> str:
    """For what the statements hold: weights, inputs with n and size, N, threads, machine, comparisons behind them."""
    sets = views.listing(map(_inputs, study.inputs)) or "no input set"
    compared = (made for variant in study.variants for made in views.comparisons(variant, "batch-vs-singles"))
    sizes = numbers.batch_sizes(made.batch_size for made in compared)
    tested = f"N = {sizes}" if sizes else "no batch run"
    made = sum(len(v.comparisons) for v in study.variants)
    return (
        f"{_network(study)}; {sets}; {tested}; "
        f"{numbers.counted(study.environment.threads, 'thread')}; {study.environment.cpu}; {_device(study)}"
        f"{numbers.counted(made, 'comparison')}. {views.EVIDENCE}"
    )


def _network(study: Study) -> str:
    """``resnet50 with digits weights``; a file that brings its own is named once."""
    model, source = study.weights.model, study.weights.source
    return model if source == model else f"{model} with {source} weights"


def _inputs(inputs: InputSet) -> str:
    """``seed (4 images, 400 x 400)``."""
    size = picture_size(inputs)
    return f"{inputs.name} ({views.measured_of(inputs)}{f', {size}' if size else ''})"


def _device(study: Study) -> str:
    """The GPU and what drives it, and which variants ran there; empty for a study of the CPU alone."""
    if not (facts := study.environment.device):
        return ""
    versions = ", ".join(f"{name} {facts[name]}" for name in ("driver", "CUDA", "cuDNN") if name in facts)
    there = views.listing(v.name for v in study.variants if v.device != "cpu") or "no variant"
    return f"{facts.get('GPU', 'GPU')} ({versions}) for {there}; "


def not_measured(study: Study) -> str:
    """What a reader might take for granted and was not measured."""
    parts = []
    for status in ("unavailable", "failed"):
        if names := [v.name for v in study.variants if v.status == status]:
            parts.append(f"{views.listing(names, 4)} ({status})")
    for (inputs, what, why), names in views.not_run(study).items():
        if len(names) == len(views.candidates(study)):
            parts.append(f"{what} on {inputs}, because {why}")
    parts.append("other batch sizes, thread counts, machines and library versions")
    return "; ".join(parts) + "."


def warnings(study: Study) -> tuple[Line, ...]:
    """Every warning of the study and of its recommendation, without their codes."""
    decided = study.recommendation
    unlimited = decided is not None and "no-accuracy-limit" in {warning.code for warning in study.warnings}
    told = no_limit(decided.policy, study.variants) if decided and unlimited else []
    own = [text for text in (decided.warnings if decided else []) if text not in told]
    return tuple(line(text) for text in [warning.text for warning in study.warnings] + own)


def _choice(study: Study) -> Callout:
    if (recommendation := study.recommendation) is None:
        return Callout("note", headline(study))
    kind: Literal["good", "bad"] = "good" if recommendation.chosen else "bad"
    reasons = reason(study) if recommendation.chosen else views.named(study, " ".join(recommendation.because))
    raced = views.named(study, in_short(study))
    return Callout(kind, headline(study), tuple(Paragraph(prose) for prose in (reasons, raced) if prose))


def _answered(answer: Answer) -> Line:
    """The answer in a few words, those that count linked to the evidence of each variant."""
    same = [part.variant for part in answer.by_variant if part.invariant is True]
    other = [part.variant for part in answer.by_variant if part.invariant is False]
    unknown = [part.variant for part in answer.by_variant if part.invariant is None]
    judged = len(same) + len(other)
    if answer.verdict is None or not judged:
        return line(answer.sentence)
    word = {"yes": "Yes, as far as tested", "no": "No", "depends": "It depends on the implementation"}[answer.verdict]
    counts = Link(f"{len(same)} of {numbers.counted(judged, 'int8 variant')}", "fixed_point")
    counted = line(f"{word}: ", counts, " gave every image the bytes of its singles")
    counted += line("; ", *_codes(other), " did not") if other else ()
    return counted + (line(". Not judged: ", *_codes(unknown), ".") if unknown else line("."))


def _codes(names: list[str], target: str | None = None) -> Line:
    """The names as a person lists them, each a link to ``target``, else to its chapter."""
    parts: list[str | Link] = []
    for at, name in enumerate(names):
        parts += [*([] if at == 0 else [" and " if at == len(names) - 1 else ", "])]
        parts.append(Link(name, target or views.anchor(name), code=True))
    return tuple(parts)


def _standing(study: Study) -> Definitions | None:
    """Every variant under its verdict, so that the whole result is seen at once."""
    names = views.together((views.state(v), v.name) for v in study.variants if v.role == "candidate")
    order = [word for word in STATE_SIGNS if word in names] + [word for word in names if word not in STATE_SIGNS]
    items = [(f"{STATE_SIGNS.get(word, '')} {word}".strip(), _codes(names[word])) for word in order]
    mended = views.together((STATE_SIGNS[views.state(v)], v.name) for v in views.repaired_variants(study))
    items += [(f"{sign} after repair", _codes(names, "repairs")) for sign, names in mended.items()]
    return Definitions(tuple(items)) if items else None


def blocks(study: Study) -> list[Block]:
    """The choice with its reason and key figures, the answer, where each variant stands, scope, gaps, warnings."""
    page: list[Block] = [_choice(study)]
    if other := views.other_answers(study):
        page.append(Callout("caution", views.named(study, other)))
    if figures := key_figures(study):
        page.append(KeyFigures(figures))
    if (answer := study.answer) is not None:
        standing = _standing(study)
        inside: tuple[Block, ...] = (Paragraph(_answered(answer)), *([standing] if standing else []))
        page.append(Callout("note", line(answer.question), inside))
    by_n = accuracy_by_n(study)
    ends = ("Scope", line(scope(study))), ("Not measured", line(not_measured(study)))
    page.append(Definitions((("Does accuracy depend on N?", by_n), *ends) if by_n else ends))
    if warned := warnings(study):
        page.append(Callout("caution", line(numbers.counted(len(warned), "warning")), (Bullets(warned),)))
    return page


SECTION = Section(order=10, title="What to deploy", show="first", write=blocks)
