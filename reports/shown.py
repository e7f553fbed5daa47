"""A finished study on stdout, and the exit code that it means."""

from __future__ import annotations

import sys

from pipeline.records import Study
from pipeline.study import exit_code
from reports.json_report import study_json
from reports.sections import write_one
from reports.terminal import print_sections, print_summary


def show(study: Study, *, as_json: bool) -> int:
    """Print the study as JSON or as its closing summary. Returns the exit code of the contract."""
    if as_json:
        print(study_json(study))
    else:
        print_summary(study, {}, stream=sys.stdout, verbose=False)
    return exit_code(study)


def show_decision(study: Study, *, as_json: bool) -> int:
    """As ``show``, but of the whole study only what was decided and why: for a decision made again."""
    if as_json:
        print(study_json(study))
    else:
        print_sections([write_one("recommendation", study)], sys.stdout)
    return exit_code(study)
