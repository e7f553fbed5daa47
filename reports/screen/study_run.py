"""What run.py does without a command: run the study, write its reports, print the summary."""

import contextlib
import sys
from functools import partial
from pathlib import Path

from isobatch.pipeline.certify.stage import CERTIFY_S, QUICK_CERTIFY_S
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.evidence.plan import Job, describe
from isobatch.pipeline.prepare.device import ask_device
from isobatch.pipeline.prepare.own_arrays import on_arrays
from isobatch.pipeline.prepare.run_folder import open_run
from isobatch.pipeline.records.errors import Exit, UsageError, WorkerError, worst
from isobatch.pipeline.records.study import Study, Warning_
from isobatch.pipeline.records.wording import sizes
from isobatch.pipeline.storage.files import asked_file, write_bytes
from isobatch.pipeline.storage.places import cache_root
from isobatch.pipeline.study.exit_code import exit_code
from isobatch.pipeline.study.study import run_study
from isobatch.pipeline.study.tasks import estimate, job_cost
from isobatch.reports import numbers
from isobatch.reports.escape import clean
from isobatch.reports.files.json_report import study_json
from isobatch.reports.files.junit import study_junit
from isobatch.reports.files.write_all import write_reports
from isobatch.reports.screen.news import News
from isobatch.reports.screen.progress import ScreenProgress
from isobatch.reports.screen.shown import tell_missing
from isobatch.reports.screen.terminal import print_summary


def study_run(config: Config) -> int:
    """Run a study, write its reports, print the summary. Returns the exit code of the contract."""
    junit = asked_file(config.junit) if config.junit else None
    config = on_arrays(config, lambda text: None if config.quiet else print(clean(text), file=sys.stderr))
    device = ask_device(config)  # before anything is written
    run, finished = open_run(config), False
    so_far: dict[str, Path] = {}
    news = News()

    def write_so_far(known: Study) -> None:
        """The report before the end, rewritten after each stage; a warning names what is still to come."""
        with contextlib.suppress(Exception):  # a word on the way ends no study
            for text in news.of(known):
                progress.line(text)
        text = f"written before the end of the study; still to come: {', '.join(known.pending)}"
        warned = known.model_copy(update={"warnings": [Warning_(code="pending", text=text), *known.warnings]})
        so_far.update(write_reports(warned, run.folder, cache_root()).paths)

    try:
        left_s = None if config.budget_s is None else config.budget_s - run.spent_s
        with ScreenProgress(quiet=config.quiet, stream=sys.stderr, limit_s=left_s) as progress:
            if run.resumed:
                spent = "" if left_s is None else f", and {numbers.seconds(run.spent_s)} of --budget are spent"
                progress.line(f"resuming the unfinished run {run.id}: its finished jobs are kept{spent}")
            on_plan = partial(_print_jobs, config) if config.dry_run else None
            study = run_study(config, run, progress, on_plan, device, write_so_far)
        if study is None:
            run.discard()
            return Exit.DONE
        written = write_reports(study, run.folder, cache_root())
        if junit:
            write_bytes(junit, [study_junit(study)])
        run.finish()
        finished = True
        if config.json:
            print(study_json(study))
        stream = sys.stderr if config.json else sys.stdout
        print_summary(study, written.paths, stream=stream, verbose=config.verbose)
        return worst(exit_code(study), tell_missing(written))
    except (UsageError, WorkerError):  # a worker's that ends the study: the libraries do not load
        run.discard()
        raise
    except BaseException as stop:  # a signal among them, or the machines are gone
        stop.add_note(f"the run had finished: {run.folder}" if finished else _again(config, so_far.get("html")))
        raise
    finally:
        run.close()


def _again(config: Config, so_far: Path | None) -> str:
    """What is there of a command that was stopped, and what the same command does then."""
    goes = "starts anew" if config.dry_run or config.fresh else "goes on where it stopped"
    if config.budget_s is not None and goes != "starts anew":
        goes += ", with what is left of --budget"
    unlike = (
        "; without --fresh an unfinished run goes on where it stopped" if config.fresh and not config.dry_run else ""
    )
    known = f"; what is known so far: {so_far}" if so_far else ""
    return f"the same command {goes}{unlike}{known}"


def _print_jobs(config: Config, jobs: list[Job], num_classes: int | None) -> None:
    for job in jobs:
        shown = describe(job) | {"about": numbers.seconds(job_cost(job))}
        print("  ".join(f"{name} {value}" for name, value in shown.items()))
    whole = estimate(jobs, num_classes)
    print(
        f"{numbers.counted(len(jobs), 'job')}, about {numbers.seconds(whole.seconds)} (rough: on two cores, without "
        f"building, accuracy and explaining{_race(config)}); {numbers.size(whole.least_bytes)} of evidence if no "
        f"output depends on the batch, {numbers.size(whole.most_bytes)} if all do"
    )


def _race(config: Config) -> str:
    parts = [f"{numbers.seconds(config.race_s)} of a race"] if config.race_s else []
    if config.certify:
        limit = QUICK_CERTIFY_S if config.quick else CERTIFY_S
        parts.append(f"{numbers.seconds(limit)} of verifying the choice at {sizes(config.certify)}")
    return f", and up to {' and '.join(parts)} to come" if parts else ""
