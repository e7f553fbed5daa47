"""What a study demands of the one it recommends: the flags, and the default where they are silent."""

from dataclasses import asdict

from isobatch.pipeline.config.config import PolicyFlags
from isobatch.pipeline.decide.recommend import default_policy
from isobatch.pipeline.inputs.prepare import SOURCES
from isobatch.pipeline.prepare.artifacts import reference_name
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Policy
from isobatch.pipeline.study.labelled import random_weights


def demanded(stages: Stages, flags: PolicyFlags, n_labelled: int, in_time: bool) -> Policy:
    """The policy of this study, on so many labelled images; ``in_time``: they were not cut short. Warns of what is not
    demanded.
    """
    unused = any(warning.code == "labels-unused" for warning in stages.warnings)
    mend = "Mend the labels that were given (labels-unused)" if unused else _how_to_label(stages, n_labelled)
    mend = mend if in_time else "Give it more time with --budget"
    remedy = "Give trained weights with --weights" if random_weights(stages) else mend
    policy, warning = complete_policy(flags, n_labelled, remedy)
    if warning and stages.outcome.kind in ("classes", "binary"):  # no other outcome is compared with labels
        stages.warn("no-accuracy-limit", warning)
    if policy.min_agreement and {*stages.config.variants} - {reference_name(stages)} and (why := _no_answers(stages)):
        unapplied = "is unknown, and --min-agreement is not applied"
        stages.warn("no-agreement", f"Agreement with {reference_name(stages)} {unapplied}: {why}")
    return policy


def _no_answers(stages: Stages) -> str | None:
    """Why no answer can be compared with the reference's, and what would change that; None where some can."""
    if stages.outcome.kind == "raw":
        return "raw outputs have no answer. Where they are classes or an embedding, --outcome says so."
    if all(prepared.record.drawn for prepared in stages.sets):
        return "all inputs are drawn, and what noise is answered means nothing. Give your own with --inputs."
    return None


def complete_policy(flags: PolicyFlags, n_labelled: int, remedy: str | None = None) -> tuple[Policy, str | None]:
    """The policy from the flags, with the default where nothing was asked; and the default's warning, if it has one."""
    policy, warning = default_policy(n_labelled, remedy)
    if flags.max_accuracy_drop is not None:
        warning = None
    asked = {name: value for name, value in asdict(flags).items() if value is not None}
    return policy.model_copy(update=asked), warning


def _how_to_label(stages: Stages, n_labelled: int) -> str | None:
    """How arrays get labels; None where they have some, and of pictures."""
    if n_labelled or not any(prepared.evaluation.fields for prepared in stages.sets):
        return None
    whose = "labels" if stages.config.inputs not in ("auto", *SOURCES) else "inputs of your own with labels"
    return f"Give {whose}: --inputs FILE.npz with an array 'labels' beside the others, or --labels FILE"
