"""``render RUN``: draw a run's reports again from its stored records."""

import argparse
from pathlib import Path

from isobatch.pipeline.config.numbers import real_number
from isobatch.pipeline.config.policy_flags import add_margin
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, and a margin to decide against."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its report.json")
    add_margin(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the reports beside the records and print the summary; the exit code is that of the study.

    With a margin of equivalence, "does the accuracy depend on N?" is decided against it, in the records too.
    """
    from isobatch.pipeline.compare.accuracy_by_batch_size import decided_again
    from isobatch.pipeline.records.errors import Exit, worst
    from isobatch.pipeline.storage.places import cache_root
    from isobatch.reports.files.json_report import load_study
    from isobatch.reports.files.write_all import write_reports
    from isobatch.reports.screen.shown import show, tell_missing

    margin, path = real_number("--equivalence-margin", arguments.equivalence_margin), Path(arguments.run)
    study = load_study(path)
    if margin is not None:
        study = decided_again(study, margin)
    written = write_reports(study, path if path.is_dir() else path.parent, cache_root())
    return worst(Exit(show(study, as_json=arguments.json)), tell_missing(written))


COMMAND = Command(
    usage="RUN",
    summary="draw a run's reports again from its stored evidence; no model runs",
    add_arguments=add_arguments,
    run=run,
)
