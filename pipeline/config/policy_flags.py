"""The policy as a user states it: flags, a TOML file, or both."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from isobatch.pipeline.config.numbers import real_number
from isobatch.pipeline.config.sources import read_toml
from isobatch.pipeline.records.errors import UsageError

_STABILITY = ("batch-invariant", "top1-stable", "none")
OBJECTIVES = ("throughput", "latency", "size")


@dataclass(frozen=True)
class PolicyFlags:
    """The policy as asked for; None means the default, which depends on how many labelled images were evaluated."""

    stability: str | None = None
    max_accuracy_drop: float | None = None
    min_agreement: float | None = None
    max_latency_ms: float | None = None
    max_latency_p99_ms: float | None = None
    max_size_mb: float | None = None
    min_throughput_img_s: float | None = None
    objective: str = "throughput"
    equivalence_margin: float | None = None
    cost_margin: float | None = None


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the policy flags, shared by the study and ``recommend``."""
    policy = parser.add_argument_group("policy")
    policy.add_argument("--policy", choices=_STABILITY, help="which stability to demand (default: batch-invariant)")
    policy.add_argument(
        "--max-accuracy-drop",
        metavar="P",
        help="largest accuracy drop against fp32, in points (default: 2 with 300 labelled images, else none)",
    )
    policy.add_argument(
        "--min-agreement", metavar="P", help="smallest percentage of images with the reference's answer (default: 90)"
    )
    policy.add_argument("--max-latency-ms", metavar="MS", help="longest median time of a call at the N recommended")
    policy.add_argument("--max-latency-p99-ms", metavar="MS", help="longest 99th percentile; adds 300 calls")
    policy.add_argument("--max-size-mb", metavar="MB", help="largest artifact")
    policy.add_argument("--min-throughput", metavar="R", help="fewest images a second at the best N")
    policy.add_argument(
        "--objective",
        choices=OBJECTIVES,
        help="what to make best among those that meet all demands (default: throughput)",
    )
    policy.add_argument("--cost-margin", metavar="P", help="percent of cost within which two are equal (default: 5)")
    add_margin(policy)
    policy.add_argument(
        "--policy-file", metavar="FILE", help="read these flags from a TOML file: max-size-mb = 20; a flag wins over it"
    )


def add_margin(parser: argparse._ActionsContainer) -> None:
    """Add the margin of equivalence, which ``render`` takes too."""
    parser.add_argument(
        "--equivalence-margin", metavar="P", help="points of top-1 accuracy that count as the same at every N"
    )


def read_policy(arguments: argparse.Namespace) -> PolicyFlags:
    """The policy of the file, if one is named, with the flags in place of what it says.

    Raises UsageError for a limit that is not a number of at least 0, and for a file that is no policy.
    """
    flags = {name: name.replace("_", "-") for name in _NAMES} | {name: flag for flag, name in _RENAMED.items()}
    given: dict[str, Any] = {}
    for name, flag in flags.items():
        if (value := getattr(arguments, flag.replace("-", "_"))) is not None:
            given[name] = value if name in _WORDS else _limit(name, f"--{flag}", value)
    stated = _read_file(Path(arguments.policy_file)) if arguments.policy_file else {}
    return PolicyFlags(**(stated | given))


def _limit(name: str, said: str, text: str) -> float | None:
    value = real_number(said, text)
    if name == "min_agreement" and value is not None and value > 100:
        raise UsageError("usage", f"{said} is {text}: it is in percent, 0 to 100")
    return value


_NAMES = [field.name for field in fields(PolicyFlags)]
_WORDS = {"stability": _STABILITY, "objective": OBJECTIVES}
_RENAMED = {"policy": "stability", "min-throughput": "min_throughput_img_s"}
"""The flags whose part of the policy has another name in ``report.json``; both are read in a file."""


def _read_file(path: Path) -> dict[str, Any]:
    """The policy in a TOML file: a key is a flag without its dashes, or the name of its part in ``report.json``."""
    dashed = {name.replace("_", "-"): name for name in _NAMES}
    keys = dashed | {name: name for name in _NAMES} | _RENAMED
    stated: dict[str, Any] = {}
    for key, value in read_toml(path, "policy-file").items():
        if key not in keys:
            flags = [*_RENAMED, *(flag for flag, name in dashed.items() if name not in _RENAMED.values())]
            raise UsageError("policy-file", f"{path} has {key!r}; a policy has {', '.join(flags)}")
        name = keys[key]
        if words := _WORDS.get(name):
            if value not in words:
                raise UsageError("policy-file", f"{path}: {key} is {value!r}, and can be {', '.join(words)}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError("policy-file", f"{path}: {key} is {value!r}, and must be a number")
        else:
            value = _limit(name, f"{path}: {key}", str(value))
        stated[name] = value
    return stated
