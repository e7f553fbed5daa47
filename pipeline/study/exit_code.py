"""The exit code of a finished study."""

from isobatch.pipeline.config.config import explains
from isobatch.pipeline.records.errors import Exit, worst
from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.pipeline.study.explain import EXPLAINED


def exit_code(study: Study) -> Exit:
    """The contract's exit code of a finished study. Where no variant has a verdict, the policy was not decided.

    A difference that was to be explained and could not be looked into counts as a part not done, and so does an ISA
    that was named and that no variant was run with.
    """
    judged = [variant.verdict is not None for variant in study.variants if variant.role == "candidate"]
    codes = [Exit.DONE]
    if study.recommendation is not None and study.recommendation.chosen is None and any(judged):
        codes.append(Exit.NOT_MET)
    run = {comparison.condition.isa for v in study.variants for comparison in v.comparisons if v.device == "cpu"}
    on_cpu = any(v.device == "cpu" for v in study.variants if v.role == "candidate")
    if on_cpu and study.config.get("isa_named", True) and not run.issuperset(study.config.get("isa", ())):
        codes.append(Exit.PARTIAL)
    lost = any(part.failed for variant in study.variants for part in variant.not_run)
    if any(warning.code == "lost-part" for warning in study.warnings):
        codes.append(Exit.PARTIAL)
    if lost or not judged or not all(judged) or any(variant.status != "measured" for variant in study.variants):
        codes.append(Exit.PARTIAL)
    if explains(study.config) and any(_unexplained(variant) for variant in study.variants):
        codes.append(Exit.PARTIAL)
    return worst(*codes)


def _unexplained(variant: VariantResult) -> bool:
    """Whether it was to be explained, and was not."""
    left_out = any(part.asked and part.origins for part in variant.not_run)
    return variant.verdict in EXPLAINED and variant.origins is None and not left_out
