"""What a study knows of a variant that its deployment needs: range of N, sum of its singles, a few sentences."""

from isobatch.pipeline.decide.ranges import range_words
from isobatch.pipeline.deploy.keep import Kept
from isobatch.pipeline.records.study import Range, Study, VariantResult
from isobatch.pipeline.records.wording import counted, percent, percent_interval, points

_NATURAL = "natural"


def largest_tested(native: VariantResult, inputs: str, verified: Range | None = None) -> int:
    """The largest N of the range over which what is shipped was ``verified``; without one, the largest N that was
    compared with the singles on this set; 1 where none was.
    """
    if verified is not None and verified.to >= verified.batch_size:
        return verified.to
    tested = [c.batch_size for c in native.comparisons if c.kind == "batch-vs-singles" and c.inputs == inputs]
    return max(tested, default=1)


def recommended_batch(study: Study, variant: VariantResult, largest: int) -> int:
    """The N that the study recommends for it, else the one of most images a second; 1 where nothing is known."""
    decided = study.recommendation
    if decided and decided.chosen == variant.name and decided.batch_size:
        return min(decided.batch_size, largest)
    timed = variant.cost.throughput_img_s if variant.cost else {}
    within = {int(n): speed.median for n, speed in timed.items() if int(n) <= largest}
    return max(within, key=lambda n: within[n], default=1)


def fingerprint(native: VariantResult, kept: Kept) -> str | None:
    """The SHA-256 of its singles' output bytes on this set, under the setting that is shipped; None: not kept."""
    runner = kept.setting.runner
    wanted = (kept.inputs, 1, runner.threads, runner.memory_format, kept.setting.isa, 0, _NATURAL)
    for mark in reversed(native.fingerprints):
        at = mark.condition
        condition = (at.threads, at.memory_format, at.isa, at.position, at.neighbours)
        if (mark.inputs, mark.batch_size, *condition) == wanted:
            return mark.sha256
    return None


def facts_of(variant: VariantResult, study: Study) -> list[str]:
    """What the study found out about it, one sentence each, for the model card."""
    facts = [f"The study {study.run_id} called it {variant.verdict}."] if variant.verdict else []
    facts += [range_words(variant.range)] if variant.range else []
    if variant.accuracy is not None:
        limits = percent_interval(variant.accuracy.low95, variant.accuracy.high95)
        facts.append(
            f"Top-1 accuracy {percent(variant.accuracy.top1)} (95 % limits {limits}) on "
            f"{counted(variant.accuracy.n, 'labelled image')} of {variant.accuracy.inputs or 'the study'}."
        )
    if variant.accuracy_drop is not None:
        drop = variant.accuracy_drop
        facts.append(
            f"Its top-1 is {points(drop.value)} below float32's on the same images, "
            f"at most {points(drop.upper95, 'up')}."
        )
    if variant.accuracy is None and variant.accuracy_note:
        facts.append(f"Accuracy is unknown: {variant.accuracy_note.rstrip('.')}.")
    return facts
