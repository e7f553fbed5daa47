"""What the Python interface and the command line say of a network of the table."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from isobatch.pipeline import CannotRepair, compare_batch_invariance, make_batch_invariant
from isobatch.pipeline.testing import assert_batch_invariant
from tests.in_process import Commands
from tests.planted.table import INPUTS, Said, Truth

ROOT = Path(__file__).resolve().parents[2]
_STARTS = re.compile(r"(; it|difference) starts in (?P<layer>\S+) \([^)]*\), at N = [^:]*: (?P<mechanism>[a-z-]+)")
_OF_COMMAND = {"unverified": "invalid"}  # what proves nothing is no verdict there


def by_interface(truth: Truth) -> Said:
    """What the three functions say; what holds is compared again."""
    network, inputs = truth.network(), INPUTS[truth.inputs]()
    with warnings.catch_warnings():
        if truth.training:
            warnings.filterwarnings("ignore", "'planted' is in training mode")
        result = compare_batch_invariance(network, inputs)
        layer = mechanism = ""
        try:
            assert_batch_invariant(network, inputs)
        except AssertionError as error:
            if result.verdict == "batch-variant" and (told := _STARTS.search(str(error))):
                layer, mechanism = told["layer"], told["mechanism"]
    assert not truth.classes or result.classes == truth.classes
    return Said(result.verdict, layer, mechanism, _repair(network, inputs))


def _repair(network: Any, inputs: Any) -> str:
    try:
        made = make_batch_invariant(network, inputs, seconds=3600)  # what holds must not depend on the load
    except (CannotRepair, ValueError):
        return "refused"
    assert made.verified.batch_invariant and compare_batch_invariance(made.network, inputs).batch_invariant
    return "needless" if made.repair.name == "native" else "holds"


def by_command(truth: Truth, commands: Commands, folder: Path) -> Said:
    """What ``check`` says, on the same examples."""
    np.save(folder / "examples.npy", INPUTS[truth.inputs]())
    network = f"tests.planted.factories:{truth.name.replace('-', '_')}"
    if isinstance(truth.make, onnx.ModelProto):
        network = str(folder / "network.onnx")
        onnx.save(truth.make, network)
    ended = commands(
        ROOT, "check", network, "--inputs", str(folder / "examples.npy"), "--threads", "1", "--json", "--quiet"
    )
    (said,) = json.loads(ended.stdout)["variants"]
    codes = {"batch-invariant": 0, "batch-variant": 1, "not-repeatable": 1, "unverified": 3}
    assert ended.code == codes[said["verdict"]], ended.stdout
    largest = said["largest"] or {"layer": ""}
    repair = "needless" if ended.code == 0 else "holds" if said["repairable"] else "refused"
    return Said(_OF_COMMAND.get(said["verdict"], said["verdict"]), largest["layer"], said["mechanism"] or "", repair)
