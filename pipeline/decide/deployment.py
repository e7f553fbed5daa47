"""The lines that deploy a choice: two commands, or Python where it runs on another device."""

import shlex
from pathlib import Path

from isobatch import PROGRAM
from isobatch.pipeline.decide.repaired_variants import native_and_rung
from isobatch.pipeline.records.study import Recommendation

FOLDER = "deployed"
_RUN = "RUN"  # stands where the run's path belongs until that is known


def deployment(name: str, device: str = "cpu") -> str:
    """Two commands for a variant, or a repaired one such as ``fp32+surgical``; ``from_run`` puts the path in.

    What ran on another device is deployed from Python: ``deploy`` and ``verify`` are commands of the CPU.
    """
    variant, rung = native_and_rung(name)
    if device != "cpu":
        lines = _ON_DEVICE if rung else _ON_DEVICE[:1]
        return "\n".join(lines).format(device=device, type=_TYPES[variant]) + "\n"
    ship = f"{PROGRAM} deploy {_RUN} {shlex.join(['--variant', name, '--out', FOLDER])}"
    return f"{ship}\n{PROGRAM} verify {FOLDER}\n"


def from_run(decided: Recommendation, folder: Path) -> Recommendation:
    """The recommendation whose lines name this run, as a user here would write its path."""
    shown = shlex.quote(str(as_written(folder)))
    return decided.model_copy(update={"deploy": decided.deploy.replace(f"deploy {_RUN} ", f"deploy {shown} ", 1)})


def as_written(folder: Path) -> Path:
    """The folder as a user here would write it."""
    here, there = Path.cwd(), folder.resolve()
    return there.relative_to(here) if there.is_relative_to(here) else there


_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_ON_DEVICE = (
    'network = network.eval().to("{device}", torch.{type})  # the switches of the study: see its conditions',
    "from isobatch.pipeline import make_batch_invariant",
    "network = make_batch_invariant(network, images).network  # verified on these images, where the network is",
)
