"""The study's command line: its flags in groups, and what ``repair`` shares of them. Imports no numeric library."""

import argparse
import re
from typing import NoReturn

import isobatch
from isobatch import PROGRAM
from isobatch.models.spec.nearest import CLOSE, nearest
from isobatch.models.spec.outcome import KINDS
from isobatch.pipeline.config.grid import BATCH_SIZES, MEMORY_FORMATS
from isobatch.pipeline.config.policy_flags import add_policy
from isobatch.pipeline.config.preprocessing import add_preprocessing
from isobatch.pipeline.machine.isa_caps import CAPS
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import NEIGHBOURS

VERSION = isobatch.__version__
ENGINES = ("local", "ray")


class _WithDefaults(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Every flag that takes a value says its default, those whose default is told in words in these words only."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if not action.option_strings or action.required or action.nargs == 0 or "default" in text:
            return text
        return f"{text} (default: {'none' if action.default is None else '%(default)s'})"


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are the contract's: one line, exit code 2; its help says what holds for every flag."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        epilog = f"A flag without a value is off unless it is given.\n\n{epilog}"
        super().__init__(prog, None, description, epilog, formatter_class=_WithDefaults, allow_abbrev=False)
        self._negative_number_matcher = re.compile(r"-(\.?\d|inf|nan)")  # values such as -5s, which their flag refuses

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, naming the nearest flag where one is unknown."""
        unknown = re.match(r"unrecognized arguments: (--[a-z-]+)", message)
        near = nearest(unknown[1], self._option_string_actions, CLOSE) if unknown else ""
        hint = f": did you mean {near}?" if near else "."
        raise UsageError("usage", f"{message}{hint} See {self.prog} --help")


def study_parser(commands: str = "") -> argparse.ArgumentParser:
    """The parser of the study's own flags; ``commands`` says in its help what else run.py can do."""
    parser = Parser(
        prog=PROGRAM,
        description="Isobatch: does the answer depend on the batch, for which precision, and what should be deployed?",
        epilog=f"{commands}exit codes:\n  0 policy met, 1 not met, 2 usage, 3 in part, 4 tool failed, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"isobatch {VERSION}")
    parser.add_argument("--list-variants", action="store_true", help="list the variants and stop")
    parser.add_argument("--variants", default="all", help="all (but optional ones), or a list: fp32,ort-int8")
    conditions = add_scope(parser)
    conditions.add_argument(
        "--grid",
        default="default",
        help="conditions to test: default, wide or FILE.toml; a flag replaces its axis (default: default)",
    )
    conditions.add_argument("--isa", help=f"instruction sets to test: {', '.join(CAPS)} (default: native)")
    conditions.add_argument(
        "--memory-format", help=f"memory formats of torch to test: {', '.join(MEMORY_FORMATS)} (default: contiguous)"
    )
    conditions.add_argument("--position", metavar="K", help="rotate batches by K places, a list (default: 1)")
    conditions.add_argument(
        "--neighbours", help=f"what replaces each batch's last image: {', '.join(NEIGHBOURS)} (default: outlier)"
    )
    conditions.add_argument("--device", default="cpu", help="where torch's float variants run: cpu or cuda")
    stages = parser.add_argument_group("stages")
    stages.add_argument(
        "--quick",
        action="store_true",
        help="only the input set of the original question; looks inside the reference, and of the rest inside "
        "what may be chosen",
    )
    stages.add_argument(
        "--thorough", action="store_true", help="all images at every batch size, and all of it in a second process too"
    )
    stages.add_argument(
        "--explain",
        default="default",
        choices=("default", "full"),
        help="full: seek rare origins without a time limit, emulated arithmetic's too",
    )
    stages.add_argument("--no-explain", action="store_true", help="do not seek origins, nor repair what differs")
    stages.add_argument("--no-repair", action="store_true", help="seek origins, and repair nothing")
    stages.add_argument("--race-seconds", metavar="S", help="time of the race; 0: none (default: 60, 20 with --quick)")
    stages.add_argument(
        "--certify", metavar="N", help="verify the choice at these N, or off (default: 1-32, and 1-16 with --quick)"
    )
    stages.add_argument(
        "--budget",
        metavar="T",
        help="fit the study into 90s, 2m or 1h, the most valuable first; says what is left out; the time of all starts "
        "of a run counts",
    )
    stages.add_argument("--dry-run", action="store_true", help="print the jobs and stop")
    add_policy(parser)
    running = parser.add_argument_group("running")
    running.add_argument("--engine", choices=ENGINES, default="local", help="run on this machine, or on a Ray cluster")
    running.add_argument("--ray-address", metavar="HOST:PORT", help="a running Ray cluster to use (default: start one)")
    running.add_argument("--workers", metavar="N", help="most workers at a time (default: what cores and memory fit)")
    running.add_argument("--timeout", default="600", metavar="S", help="end a worker that is silent for S seconds")
    running.add_argument("--out", metavar="DIR", help="the run's folder (default: out/<time>-<configuration>)")
    running.add_argument("--junit", metavar="FILE", help="also write the verdicts as JUnit XML (default: not written)")
    running.add_argument("--fresh", action="store_true", help="start anew instead of resuming an unfinished run")
    running.add_argument("--offline", action="store_true", help="never download, not even a named choice")
    talk = parser.add_argument_group("talk")
    talk.add_argument("--json", action="store_true", help="write the report to stdout as JSON, all else to stderr")
    talk.add_argument("--quiet", action="store_true", help="show no progress")
    talk.add_argument(
        "--config", metavar="FILE", help="read settings from a TOML file (default: isobatch.toml of this folder)"
    )
    talk.add_argument("--show-config", action="store_true", help="print each setting with its origin and stop")
    talk.add_argument(
        "--verbose", action="store_true", help="also print the folded sections, such as cost and accuracy"
    )
    talk.add_argument("--debug", action="store_true", help="show the tracebacks of errors")
    return parser


def add_scope(parser: argparse.ArgumentParser, batch_sizes: str | None = None) -> argparse._ArgumentGroup:
    """Add the flags of network, inputs, N and threads, shared by the study and ``repair``; the group of conditions.

    ``batch_sizes``: their default; None: those of the grid.
    """
    what = parser.add_argument_group("what")
    what.add_argument(
        "--model",
        default="resnet50",
        help="a torchvision classifier, timm:NAME, or package.module:factory below this folder",
    )
    what.add_argument("--onnx", metavar="FILE", help="your own ONNX network, from which ort- variants are made")
    what.add_argument(
        "--weights",
        default="auto",
        help="the weights: auto, digits, imagenet-v2, imagenet-v1, random, pretrained (timm's) or FILE (default: auto)",
    )
    what.add_argument(
        "--state-dict",
        metavar="KEY",
        help="which state dict of a weights file to take: state_dict_ema (default: the only one, or the usual one)",
    )
    what.add_argument(
        "--inputs", default="auto", help="auto, seed, digits, photos, a folder, FILE.npy, FILE.npz or FILE.safetensors"
    )
    what.add_argument(
        "--outcome", default="auto", help=f"kind of your own network's answer: auto or {', '.join(KINDS)}"
    )
    what.add_argument("--batch-axis", metavar="NAME=K", help="which axis of an input or output is the batch: x=1,y=1")
    what.add_argument(
        "--class-order",
        choices=("text", "number"),
        help="number labels by the folders' order: as text (torchvision's ImageFolder) or as numbers "
        "(default: by the names of the classes, else by the numbers in the folders' names)",
    )
    what.add_argument(
        "--classes",
        metavar="FILE",
        help="a file with the names of the classes: one a line in order, or JSON (default: of the weights)",
    )
    what.add_argument(
        "--labels",
        metavar="FILE",
        help="a file of labels: CSV of file,class, or classes in order (default: the folders' names)",
    )
    what.add_argument("--images", metavar="N", help="images of each input set (default: 16, and 4 for the seed set)")
    what.add_argument(
        "--image-size",
        metavar="S",
        help="side or height x width, a list: 224,64x128 (default: of the weights); the seed set stays at 400 pixels",
    )
    what.add_argument("--seed", default="42069", help="the seed of random inputs")
    add_preprocessing(parser)
    conditions = parser.add_argument_group("conditions")
    conditions.add_argument(
        "--batch-sizes",
        default=batch_sizes,
        help=f"batch sizes to test: 2,4,8 or 1-32; 1 repeats the singles (default: {batch_sizes or BATCH_SIZES})",
    )
    conditions.add_argument("--threads", help="thread counts to test, a list: 1,2 (default: all cores)")
    return conditions
