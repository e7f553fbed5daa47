"""``render RUN``: draw a run's reports again from its stored records."""

from __future__ import annotations

import argparse
from pathlib import Path

USAGE = "RUN"
SUMMARY = "draw a run's reports again from its stored evidence; no model runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its report.json")


def run(arguments: argparse.Namespace) -> int:
    """Write the reports beside the records and print the summary; the exit code is that of the study."""
    from reports.charts import warm_up

    warm_up()
    from reports.json_report import load_study
    from reports.shown import show
    from reports.write import write_reports

    path = Path(arguments.run)
    study = load_study(path)
    write_reports(study, path if path.is_dir() else path.parent)
    return show(study, as_json=arguments.json)
