"""Questions that several sections ask of a study, answered once."""

import math
import re
from collections.abc import Iterable

from isobatch.pipeline.config.config import explains
from isobatch.pipeline.decide import agreement
from isobatch.pipeline.decide.ranges import as_shipped
from isobatch.pipeline.decide.repaired_variants import native_and_rung, native_name, with_repairs
from isobatch.pipeline.records.study import Comparison, ComparisonKind, InputSet, Policy, Repair, Study, VariantResult
from isobatch.pipeline.records.wording import out_of, percent_interval
from isobatch.pipeline.records.wording import together as together
from isobatch.reports import numbers
from isobatch.reports.blocks import Code, Line, line

EVIDENCE = "Evidence for this scope, not a proof beyond it."


def candidates(study: Study) -> tuple[VariantResult, ...]:
    """The measured variants that could be deployed, in table order."""
    return tuple(v for v in study.variants if v.status == "measured" and v.role == "candidate")


def find(study: Study, name: str | None) -> VariantResult | None:
    """The variant of that name, None if the study has none."""
    return next((v for v in study.variants if v.name == name), None)


def shipped_state(study: Study, name: str) -> str | None:
    """Where the variant of that name stands as its range leaves it; None if the study has none."""
    variant = find(study, name)
    return None if variant is None else state(as_shipped(variant))


def is_chosen(study: Study, name: str) -> bool:
    """Whether the variant or repaired variant of that name is the recommended one."""
    return study.recommendation is not None and study.recommendation.chosen == name


def anchor(name: str) -> str:
    """Where the chapter of the variant of that name is found: any text becomes a valid name of an element."""
    return "variant-" + "".join(c if (c.isalnum() and c.isascii()) or c in "-." else f"_{ord(c):x}_" for c in name)


def measured_of(inputs: InputSet) -> str:
    """``4 images``; of a set of which some calibrate, though fewer are left than were asked for, where all went:
    ``11 of 16 images, 5 kept to calibrate int8``.
    """
    if not inputs.kept_to_calibrate:
        return numbers.counted(inputs.n, "image")
    rest = inputs.n_files - inputs.n - inputs.kept_to_calibrate
    left_out = f", {rest} left out" if rest > 0 else ""
    kept = f"{inputs.kept_to_calibrate} kept to calibrate int8"
    return f"{out_of(inputs.n, inputs.n_files, 'image')}, {kept}{left_out}"


def repaired_variants(study: Study) -> tuple[VariantResult, ...]:
    """Every variant with a repair of its own that holds, as a variant: ``fp32+surgical``. In table order."""
    return tuple(repair for repair in with_repairs(study.variants) if is_repaired(repair))


def is_repaired(variant: VariantResult) -> bool:
    """Whether it is a variant with a repair, and no variant of the study."""
    return native_name(variant.name) != variant.name


def repair_of(study: Study, name: str) -> Repair:
    """The repair of a repaired variant of this name. Raises KeyError where there is none."""
    native, rung = native_and_rung(name)
    fitting = (r for v in study.variants if v.name == native for r in v.repairs or [] if r.name == rung)
    if (repair := next(fitting, None)) is None:
        raise KeyError(name)
    return repair


def choice(study: Study) -> VariantResult | None:
    """What is recommended, be it a variant or a repaired one, as its range leaves it; None where nothing is."""
    return next((as_shipped(v) for v in with_repairs(study.variants) if is_chosen(study, v.name)), None)


def only(study: Study, variant: VariantResult) -> Study:
    """The study as if it had this variant alone: what the parts of its chapter are written from."""
    return study.model_copy(update={"variants": [variant]})


def state(variant: VariantResult) -> str:
    """One word for where a variant stands: its verdict, else ``reference``, ``unavailable`` or ``failed``."""
    if variant.status != "measured":
        return variant.status
    return variant.verdict or ("reference" if variant.role == "reference" else "no verdict")


def comparisons(variant: VariantResult, kind: ComparisonKind, inputs: str | None = None) -> tuple[Comparison, ...]:
    """The variant's comparisons of one kind, on one input set if named, in the order they were made."""
    return tuple(c for c in variant.comparisons if c.kind == kind and inputs in (None, c.inputs))


def _severity(comparison: Comparison) -> tuple[float, int]:
    value = comparison.max_abs_relative
    absent = value is None or math.isnan(value)
    return math.inf if absent else float(value or 0), comparison.n_elements_differing


def worst(compared: Iterable[Comparison]) -> Comparison | None:
    """The comparison with the largest relative difference; one that could not be measured counts as the largest."""
    return max(compared, key=_severity, default=None)


def batch_noise(variant: VariantResult) -> Comparison | None:
    """The worst batched-versus-singles comparison over all input sets and N; None of a repaired variant."""
    return worst(comparisons(variant, "batch-vs-singles"))


def noise(variant: VariantResult) -> str | None:
    """The batch noise in words; of a repaired variant what its verification showed."""
    if is_repaired(variant):
        return "bit-equal" if variant.verdict == "batch-invariant" else None
    return difference(batch_noise(variant))


def reference_error(variant: VariantResult) -> Comparison | None:
    """The worst comparison with the reference (fp64; of an ONNX file ort-fp32) over all input sets."""
    return worst(comparisons(variant, "vs-reference"))


def unexplained(study: Study) -> tuple[Line, ...]:
    """Why it is not known where a difference starts: of the study, or of each variant that was not looked into."""
    looked_at = candidates(study)
    differing = [v for v in looked_at if v.verdict in ("top1-stable", "batch-variant")]
    if not differing:
        alone = line(Code(looked_at[0].name), f" is {state(looked_at[0])}") if len(looked_at) == 1 else None
        return (line("Nothing to look into: ", *(alone or ["no variant was found top1-stable or batch-variant"]), "."),)
    if "explanation" in study.left_out:
        return (line("Not run: --budget left no time for it."),)
    if not explains(study.config) and not any(v.origins for v in differing):
        return (line("Not run: the study was asked not to explain (--no-explain)."),)
    unseen = [variant for variant in differing if variant.origins is None]
    reasons = together((_why_unexplained(study, variant), variant.name) for variant in unseen)
    return tuple(line("Not run for ", *named(study, listing(names, 20)), f": {why}.") for why, names in reasons.items())


def _why_unexplained(study: Study, variant: VariantResult) -> str:
    reasons = (left_out.why.rstrip(".") for left_out in variant.not_run if left_out.origins)
    return next(reasons, not_yet(study))


def not_yet(study: Study) -> str:
    """Why there is nothing of a stage that a study has when it is whole."""
    return "it was still to come when this was written" if study.pending else "the study ended before it"


def named(study: Study, text: str) -> Line:
    """A sentence with the names of the study's variants set as code."""
    every = [v.name for v in study.variants] + [variant.name for variant in repaired_variants(study)]
    names = sorted(map(re.escape, every), key=len, reverse=True)
    if not names:
        return line(text)
    parts = re.split(rf"(?<![\w-])({'|'.join(names)})(?![\w-])", text)
    return tuple(Code(part) if at % 2 else part for at, part in enumerate(parts) if part)


def not_run(study: Study) -> dict[tuple[str, str, str], list[str]]:
    """What was planned and not run: on which inputs, what and why, each once, with the variants it concerns."""
    return together(((n.inputs, n.what, n.why), variant.name) for variant in study.variants for n in variant.not_run)


def listing(words: Iterable[str], limit: int = 6) -> str:
    """Words as a person lists them: ``a, b and c``; from ``limit`` on the rest is counted."""
    parts = list(words)
    if len(parts) > limit:
        parts = [*parts[: limit - 1], f"{len(parts) - limit + 1} more"]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def difference(comparison: Comparison | None, brief: bool = False) -> str | None:
    """The largest relative difference in words: ``bit-equal``, ``3.1e-07``, or what made it unmeasurable.

    ``brief``: without the issues, where the verdict says that there are some.
    """
    if comparison is None:
        return None
    distance = numbers.known(comparison.max_abs_relative, numbers.difference) or "not comparable"
    text = "bit-equal" if comparison.bitwise_equal else distance
    return f"{text} [{', '.join(comparison.issues)}]" if comparison.issues and not brief else text


def flips(comparison: Comparison) -> str | None:
    """Top-1 flips among the images compared, with their bound."""
    if comparison.top1_flips is None:
        return None
    return numbers.events(comparison.top1_flips, comparison.n_images, comparison.top1_flip_upper95)


def accuracy_with_interval(variant: VariantResult) -> str | None:
    """Top-1 with its two-sided 95 % interval: ``98.1 % (96.4 % to 99.1 %)``."""
    if (accuracy := variant.accuracy) is None:
        return None
    return f"{numbers.percent(accuracy.top1)} ({percent_interval(accuracy.low95, accuracy.high95)})"


def error(study: Study, variant: VariantResult, brief: bool = False) -> str | None:
    """Its largest error against the reference in words; None for the reference itself."""
    return None if variant.name == study.reference else difference(reference_error(variant), brief)


def other_answers(study: Study) -> str:
    """The candidates whose answers are too often not the reference's, each with its count; empty where none is."""
    policy = study.recommendation.policy if study.recommendation else Policy()
    missed = [
        f"{candidate.name} ({agreement.count(candidate.agreement)} agree, {agreement.bound(candidate.agreement)})"
        for candidate in candidates(study)
        if candidate.agreement
        and not candidate.baseline
        and agreement.decide(candidate.agreement, policy.min_agreement) == "missed"
    ]
    return f"Other answers than {reference(study)}: {listing(missed, 5)}." if missed else ""


def baseline(study: Study) -> str:
    """The variant that accuracy drops are measured against, also where it was not asked for and has no record."""
    unasked = "ort-fp32" if study.config.get("onnx") else "fp32"
    return next((variant.name for variant in study.variants if variant.baseline), unasked)


def reference(study: Study) -> str:
    """The reference's name; fp64 in a report that has none."""
    return study.reference or "fp64"
