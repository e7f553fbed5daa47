"""How far a variant is from the reference, in error and in answers: asked by several sections, answered once."""

from isobatch.pipeline.decide import agreement
from isobatch.pipeline.records.study import Policy, Study, VariantResult
from isobatch.reports import numbers, views


def error(study: Study, variant: VariantResult, brief: bool = False) -> str | None:
    """Its largest error against the reference in words; None for the reference itself."""
    return None if variant.name == study.reference else views.difference(views.reference_error(variant), brief)


def agrees(study: Study, variant: VariantResult) -> str | None:
    """The share of images with the reference's answer: ``94.1 %``; None for the reference itself."""
    if variant.name == study.reference:
        return None
    return numbers.short_percent(variant.agreement.share) if variant.agreement else None


def other_answers(study: Study) -> str:
    """The candidates whose answers are too often not the reference's, each with its count; empty where none is."""
    policy = study.recommendation.policy if study.recommendation else Policy()
    missed = [
        f"{candidate.name} ({agreement.count(candidate.agreement)} agree, {agreement.bound(candidate.agreement)})"
        for candidate in views.candidates(study)
        if candidate.agreement
        and not candidate.baseline
        and agreement.decide(candidate.agreement, policy.min_agreement) == "missed"
    ]
    return f"Other answers than {reference(study)}: {views.listing(missed, 5)}." if missed else ""


def reference(study: Study) -> str:
    """The reference's name; fp64 in a report that has none."""
    return study.reference or "fp64"
