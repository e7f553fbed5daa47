"""What run.py does without a command: run the study, write its reports, print the summary."""

from __future__ import annotations

import sys

from pipeline.config import Config
from pipeline.errors import Exit, UsageError
from pipeline.plan import Job, describe
from pipeline.runs import open_run
from pipeline.study import exit_code, run_study
from reports.json_report import study_json
from reports.progress import Progress
from reports.terminal import print_summary
from reports.write import write_reports


def study_run(config: Config) -> int:
    """Run a study, write its reports, print the summary. Returns the exit code of the contract."""
    run = open_run(config)
    try:
        with Progress(quiet=config.quiet, stream=sys.stderr) as progress:
            if run.resumed:
                progress.line(f"resuming the unfinished run {run.id}: its finished jobs are kept")
            study = run_study(config, run, progress, _print_jobs if config.dry_run else None)
        if study is None:
            run.discard()
            return Exit.DONE
        paths = write_reports(study, run.folder)
        run.finish()
        if config.json:
            print(study_json(study))
        print_summary(study, paths, stream=sys.stderr if config.json else sys.stdout, verbose=config.verbose)
        return exit_code(study)
    except UsageError:
        run.discard()
        raise
    finally:
        run.close()


def _print_jobs(groups: list[list[Job]]) -> None:
    for group in groups:
        for job in group:
            print("  ".join(f"{name} {value}" for name, value in describe(job).items()))
