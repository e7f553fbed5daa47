"""What run.py does without a command: run the study, write its reports, print the summary."""

from __future__ import annotations

import sys

from pipeline.ask_device import ask_device
from pipeline.config import Config
from pipeline.errors import Exit, UsageError, WorkerError
from pipeline.estimate import estimate, total
from pipeline.plan import Job, describe
from pipeline.runs import cache_root, open_run
from pipeline.study import exit_code, run_study
from reports import numbers
from reports.json_report import study_json
from reports.progress import Progress
from reports.terminal import print_summary
from reports.write import write_reports


def study_run(config: Config) -> int:
    """Run a study, write its reports, print the summary. Returns the exit code of the contract."""
    device = ask_device(config)  # before anything is written
    run = open_run(config)
    try:
        with Progress(quiet=config.quiet, stream=sys.stderr) as progress:
            if run.resumed:
                progress.line(f"resuming the unfinished run {run.id}: its finished jobs are kept")
            study = run_study(config, run, progress, _print_jobs if config.dry_run else None, device)
        if study is None:
            run.discard()
            return Exit.DONE
        paths = write_reports(study, run.folder, cache_root())
        run.finish()
        if config.json:
            print(study_json(study))
        print_summary(study, paths, stream=sys.stderr if config.json else sys.stdout, verbose=config.verbose)
        return exit_code(study)
    except (UsageError, WorkerError):  # a worker's that ends the study: the libraries do not load
        run.discard()
        raise
    finally:
        run.close()


def _print_jobs(jobs: list[Job], num_classes: int | None) -> None:
    for job in jobs:
        shown = describe(job) | {"about": numbers.seconds(estimate(job, num_classes).seconds)}
        print("  ".join(f"{name} {value}" for name, value in shown.items()))
    whole = total(jobs, num_classes)
    print(
        f"{numbers.number_of(len(jobs), 'job')}, about {numbers.seconds(whole.seconds)} (rough: on two cores, without "
        f"building, accuracy and explaining); {numbers.size(whole.least_bytes)} of evidence if no output depends on "
        f"the batch, {numbers.size(whole.most_bytes)} if all do"
    )
