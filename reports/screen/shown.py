"""A finished study on stdout, and the exit code that it means."""

import sys

from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.study import Study
from isobatch.pipeline.study.exit_code import exit_code
from isobatch.reports.escape import clean
from isobatch.reports.files.json_report import study_json
from isobatch.reports.files.write_all import Reports
from isobatch.reports.screen.terminal import print_sections, print_summary
from isobatch.reports.sections import write_one


def tell_missing(written: Reports) -> Exit:
    """Say on stderr what is missing of the reports. Returns PARTIAL where anything is, else DONE."""
    for text in written.missing:
        print(clean(f"warning [lost-part]: {text}"), file=sys.stderr)
    return Exit.PARTIAL if written.missing else Exit.DONE


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
        unapplied = [warning.text for warning in study.warnings if warning.code == "no-agreement"]
        for text in [*unapplied, *(study.recommendation.warnings if study.recommendation else ())]:
            print(clean(f"Warning: {text}"))
    return exit_code(study)
