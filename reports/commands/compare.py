"""``compare RUN_A RUN_B``: a gate for another machine, another library version, another configuration."""

import argparse
import sys
from pathlib import Path

from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two runs, and files for a CI system."""
    parser.add_argument("run_a", metavar="RUN_A", help="the run relied on so far: its folder, or its report.json")
    parser.add_argument("run_b", metavar="RUN_B", help="the run that may replace it")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML: one test case a variant and input set")
    parser.add_argument("--markdown", metavar="FILE", help="write a summary for a pull request's comment")


def run(arguments: argparse.Namespace) -> int:
    """Compare, write the files asked for, print. No model runs. Returns 1 where something got worse, 3 where B left out
    what A measured, else 0.
    """
    from isobatch.pipeline.records.errors import Exit
    from isobatch.pipeline.storage.files import asked_file, write_bytes
    from isobatch.pipeline.tools.two_runs.compare import compare_runs
    from isobatch.pipeline.tools.two_runs.regressions import LEFT_OUT
    from isobatch.pipeline.tools.two_runs.stored_outputs import stored_outputs
    from isobatch.reports.files.json_report import load_finished
    from isobatch.reports.files.junit import comparison_junit
    from isobatch.reports.pages.run_comparison import comparison_blocks, comparison_json, comparison_markdown
    from isobatch.reports.screen.terminal import print_blocks

    wanted = {name: asked_file(text) for name in ("junit", "markdown") if (text := getattr(arguments, name))}
    paths = Path(arguments.run_a), Path(arguments.run_b)
    rows_a, rows_b = (stored_outputs(path if path.is_dir() else path.parent) for path in paths)
    comparison = compare_runs(load_finished(paths[0]), load_finished(paths[1]), rows_a, rows_b)
    if "junit" in wanted:
        write_bytes(wanted["junit"], [comparison_junit(comparison)])
    if "markdown" in wanted:
        write_bytes(wanted["markdown"], [comparison_markdown(comparison).encode()])
    if arguments.json:
        print(comparison_json(comparison))
    else:
        print_blocks(comparison_blocks(comparison), sys.stdout)
    if comparison.regressions:
        return Exit.NOT_MET
    return Exit.PARTIAL if any(change.b == LEFT_OUT for change in comparison.changes) else Exit.DONE


COMMAND = Command(
    usage="RUN_A RUN_B",
    summary="two runs: which variants give the same bytes, what changed, what regressed (then exit code 1)",
    add_arguments=add_arguments,
    run=run,
)
