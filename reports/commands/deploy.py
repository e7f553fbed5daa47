"""``deploy RUN``: ship what a study chose, or a named variant, as a folder that serves without this project."""

import argparse
import sys
from pathlib import Path

from isobatch import PROGRAM
from isobatch.pipeline.config.numbers import seconds
from isobatch.pipeline.records.errors import Exit, WorkerError
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run, the variant, and where to."""
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--variant", metavar="V", help="one of the run, such as ort-int8 or fp32+surgical (default: the chosen one)"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write: an empty or new folder")
    parser.add_argument("--timeout", default="600", metavar="S", help="end a process that is silent for S seconds")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder; 1 where the shipped files do not give the measured bytes, 3 where they cannot be made here."""
    from isobatch.pipeline.decide.deployment import as_written
    from isobatch.pipeline.deploy.command import NoDeployment, deploy
    from isobatch.pipeline.records.wording import sizes
    from isobatch.reports.escape import clean
    from isobatch.reports.files.json_report import load_study

    path = Path(arguments.run)
    study = load_study(path)
    folder = Path(arguments.out)

    def say(text: str) -> None:
        if not arguments.quiet:
            print(clean(text), file=sys.stderr, flush=True)

    try:
        timeout_s = seconds("--timeout", arguments.timeout)
        deployed = deploy(
            study, path if path.is_dir() else path.parent, arguments.variant, folder.resolve(), timeout_s, say
        )
    except NoDeployment as error:
        print(clean(f"nothing was shipped: {error}"), file=sys.stderr)
        return Exit.NOT_MET
    except WorkerError as error:
        remedy = f" ({error.remedy})" if error.remedy else ""
        print(clean(f"it cannot be shipped from here: {error.reason}{remedy}"), file=sys.stderr)
        return Exit.PARTIAL
    record = deployed.record
    if arguments.json:
        print(record.model_dump_json(indent=1))
        return Exit.DONE
    shown = as_written(deployed.folder)
    names = ", ".join(f"{file.file} (SHA-256 {file.sha256[:16]})" for file in record.files)
    print(clean(f"{shown}: {record.variant} of {record.model}, {deployed.origin}: {names}"))
    claim = "batch-invariant" if record.batch_invariant else "its outputs, by batch size, recorded"
    print(clean(f"Run without this project at {sizes(record.batch_sizes)}: {claim}."))
    for note in deployed.notes:
        print(clean(f"Note: {note}."))
    given = "PICTURE" if record.serving.preprocessing else f"{shown}/{record.inputs[0].file}"
    print(clean(f"python {shown}/infer.py {given} serves it; MODEL_CARD.md says the rest."))
    print(clean(f"{PROGRAM} verify {shown} checks it, here or on another machine."))
    return Exit.DONE


COMMAND = Command(
    usage="RUN",
    summary="ship the chosen or named variant of a run: artifact, loader, model card, verification record",
    add_arguments=add_arguments,
    run=run,
)
