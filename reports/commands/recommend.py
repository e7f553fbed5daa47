"""``recommend RUN``: decide again from a run's stored records under another policy; the run is left as it is."""

import argparse
from pathlib import Path

from isobatch.pipeline.config.policy_flags import add_policy, read_policy
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and the study's policy flags."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its report.json")
    add_policy(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the new decision; the exit code says whether the policy is met."""
    from isobatch.pipeline.compare.accuracy_by_batch_size import decided_again
    from isobatch.pipeline.decide.demands import held_back
    from isobatch.pipeline.decide.deployment import from_run
    from isobatch.pipeline.decide.recommend import labelled_images, recommend
    from isobatch.pipeline.study.demanded import complete_policy
    from isobatch.reports.files.json_report import load_finished
    from isobatch.reports.screen.shown import show_decision

    study = load_finished(Path(arguments.run))
    policy, _ = complete_policy(read_policy(arguments), labelled_images(study))
    if policy.equivalence_margin is not None:
        study = decided_again(study, policy.equivalence_margin)
    path = Path(arguments.run)
    chosen = from_run(recommend(study.variants, policy, study.race), path if path.is_dir() else path.parent)
    decided = held_back(chosen, study.variants, study.baseline, study.mixing)
    study = study.model_copy(update={"recommendation": decided})
    return show_decision(study, as_json=arguments.json)


COMMAND = Command(
    usage="RUN",
    summary="decide again from a run's stored evidence, with the policy flags; no model runs",
    add_arguments=add_arguments,
    run=run,
)
