"""What must hold of the whole study before anything is recommended, whatever the policy."""

from isobatch.pipeline.records.study import Baseline, Mixing, Recommendation, Rejected, VariantResult

MIXES = "the network itself mixes images"


def withheld(baseline: Baseline | None, mixing: Mixing | None) -> tuple[str, list[str]] | None:
    """Why nothing can be recommended, in a few words and then sentence by sentence; None where nothing forbids it."""
    if mixing is not None and mixing.mixes:
        return MIXES, [
            mixing.evidence,
            "No precision, thread count or fixed shape cures that: an image's answer depends on which others it is "
            "sent with.",
            "Likely: statistics taken over the batch (BatchNorm in training mode, a mean or Softmax over the "
            "batch axis), or a layer that reads that axis as time. Mend the network, and export it in evaluation mode.",
        ]
    if baseline is not None and baseline.failed:
        return baseline.failed, [*baseline.reasons, "Until that is put right, no accuracy drop says anything."]
    return None


def held_back(
    decided: Recommendation, variants: list[VariantResult], baseline: Baseline | None, mixing: Mixing | None
) -> Recommendation:
    """The recommendation, or none where the study forbids one: each candidate then has that reason before its own."""
    reason = withheld(baseline, mixing)
    if reason is None:
        return decided
    words, because = reason
    own = {rejection.variant: rejection.why for rejection in decided.rejected}
    rejected = [
        Rejected(
            variant=variant.name,
            why=own[variant.name] if variant.status != "measured" or variant.role == "reference" else words,
        )
        for variant in variants
        if variant.name in own or variant.name == decided.chosen
    ]
    return Recommendation(
        policy=decided.policy, chosen=None, withheld=words, because=because, rejected=rejected, ties=[], pareto=[]
    )
