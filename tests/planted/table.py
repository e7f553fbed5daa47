"""The table of planted networks: what each is, and what is true of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import nn

from isobatch.models.planted import find_fault
from isobatch.models.planted.networks import open_innocent, open_planted
from tests.models.ort.mixing_onnx import GRAPHS
from tests.models.pytorch.mixing_networks import NETWORKS
from tests.models.pytorch.small_networks import seeded
from tests.planted import networks as n

Verdict = Literal["batch-invariant", "batch-variant", "not-repeatable", "invalid"]
Repair = Literal["needless", "holds", "refused"]


@dataclass(frozen=True)
class Said:
    """What is true of a network, or said of it."""

    verdict: str
    layer: str  # where its largest difference starts; "" in none
    mechanism: str
    repair: str  # by running layers in other shapes


@dataclass(frozen=True)
class Truth:
    """One network and its truth."""

    name: str
    make: Callable[[], nn.Module] | onnx.ModelProto
    verdict: Verdict
    layer: str = ""
    mechanism: str = ""
    repair: Repair = "refused"
    twin: str = ""  # the faulty one that an innocent network resembles
    inputs: Literal["images", "words", "small"] = "images"
    classes: tuple[tuple[int, ...], ...] = ()  # of N, where they are more than N = 1 and the others
    training: str = ""  # the submodule left in training mode

    @property
    def said(self) -> Said:
        """What is to be said of it."""
        return Said(self.verdict, self.layer, self.mechanism, self.repair)

    def network(self) -> Any:
        """The graph, or the network, in eval mode but for ``training``."""
        if isinstance(self.make, onnx.ModelProto):
            return self.make
        made = seeded(self.make)
        if self.training:
            made.get_submodule(self.training).train()
        return made


def _images(side: int = 16) -> Any:
    return np.random.default_rng(3).standard_normal((8, 3, side, side), np.float32)


def _words() -> Any:
    return np.random.default_rng(3).integers(0, 11, (8, 5))


INPUTS = {"images": _images, "words": _words, "small": partial(_images, 8)}

# a kernel that adds no products: no intervention can name it, and the method has a word for that
_kernel = partial(Truth, verdict="batch-variant", mechanism="unexplained", repair="holds")
_branch = partial(Truth, verdict="batch-variant", mechanism="different-branch", repair="holds")
_leak = partial(Truth, verdict="batch-variant", mechanism="neighbour-leak")
_again = partial(Truth, verdict="not-repeatable")
_invalid = partial(Truth, verdict="invalid")
_innocent = partial(Truth, verdict="batch-invariant", repair="needless")

FAULTY = (
    _kernel("one-ulp", lambda: n.Plain(n.Ulps(1, 2)), layer="planted"),
    _kernel("one-ulp-from-5", lambda: n.Plain(n.Ulps(1, 5)), layer="planted"),
    _kernel("two-steps", lambda: n.Plain(n.Ulps(1, 2, 4)), layer="planted", classes=((1,), (2, 3), (4, 5, 6, 7, 8))),
    _kernel("small-then-large", lambda: n.Plain(n.SmallThenLarge(2)), layer="planted.large"),
    _kernel("in-a-dict", lambda: n.Outputs("dict", n.Ulps(1, 2)), layer="planted"),
    _kernel("in-a-tuple", lambda: n.Outputs("tuple", n.Ulps(1, 3)), layer="planted"),
    _kernel("in-a-dataclass", lambda: n.Outputs("dataclass", n.Ulps(1, 2)), layer="planted"),
    _kernel("in-threes", lambda: n.Plain(n.InThrees(3)), layer="planted.kernel"),
    _kernel("of-words", lambda: n.Table(n.Ulps(1, 2)), layer="planted", inputs="words"),
    _kernel("place", lambda: n.Plain(n.LastUlp()), layer="planted"),
    _branch("negative-zero", lambda: n.Plain(n.NegativeZero()), layer="planted"),
    _branch("another-branch", lambda: n.Plain(n.Branch(other=True)), layer="planted"),
    _branch("by-count", lambda: n.Plain(n.ByCount(0)), layer="planted"),
    _leak("batch-mean", lambda: n.Plain(n.Mean()), layer="planted"),
    _leak("mean-square", lambda: n.Plain(n.MeanSquare()), layer="planted"),
    _leak("batch-norm", lambda: n.Plain(nn.BatchNorm2d(3, track_running_stats=False)), layer="planted"),
    _leak("in-training", lambda: n.Plain(nn.BatchNorm2d(3)), layer="planted", training="planted"),
    _leak("beside-bright", lambda: n.Plain(n.BesideBright()), layer="planted"),
    _leak("all-dim", lambda: n.Plain(n.AllDim()), layer="planted"),
    _leak("among-copies", lambda: n.Plain(n.AmongCopies()), layer="planted"),
    Truth("swapped", lambda: n.Plain(n.Swapped()), "batch-variant", "planted", "wrong-row"),
    _again("functional-dropout", lambda: n.Plain(n.Dropout())),
    _again("tenth-call", lambda: n.Plain(n.Counter())),
    _again("remembers", lambda: n.Plain(n.Remembers(used=True))),
    _again("small-noise", lambda: n.Plain(n.Noise())),
    _invalid("some-nan", lambda: n.Plain(n.SomeInvalid(torch.nan))),
    _invalid("some-infinite", lambda: n.Plain(n.SomeInvalid(torch.inf))),
    _invalid("constant", lambda: n.Plain(n.Constant())),
)
INNOCENT = (
    _innocent("plain", lambda: n.Plain(), twin="one-ulp"),
    _innocent("never", lambda: n.Plain(n.Ulps(1, 100)), twin="one-ulp-from-5"),
    _innocent("no-steps", lambda: n.Plain(n.Ulps(1, 99, 100)), twin="two-steps"),
    _innocent("never-both", lambda: n.Plain(n.SmallThenLarge(99)), twin="small-then-large"),
    _innocent("dict", lambda: n.Outputs("dict", nn.Identity()), twin="in-a-dict"),
    _innocent("tuple", lambda: n.Outputs("tuple", nn.Identity()), twin="in-a-tuple"),
    _innocent("dataclass", lambda: n.Outputs("dataclass", nn.Identity()), twin="in-a-dataclass"),
    _innocent("in-threes-plain", lambda: n.Plain(n.InThrees(4)), twin="in-threes"),
    _innocent("words", lambda: n.Table(nn.Identity()), twin="of-words", inputs="words"),
    _innocent("same-branch", lambda: n.Plain(n.Branch(other=False)), twin="another-branch"),
    _innocent("by-height", lambda: n.Plain(n.ByCount(2)), twin="by-count"),
    _innocent("own-maximum", lambda: n.Plain(n.OwnMean()), twin="batch-mean"),
    _innocent("running-statistics", lambda: n.Plain(nn.BatchNorm2d(3)), twin="batch-norm"),
    _innocent("own-brightness", lambda: n.Plain(n.OwnBright()), twin="beside-bright"),
    _innocent("own-copies", lambda: n.Plain(n.OwnCopies()), twin="among-copies"),
    _innocent("dropout-off", lambda: n.Plain(n.DropoutOff()), twin="functional-dropout"),
    _innocent("idle-counter", lambda: n.Plain(n.IdleCounter()), twin="tenth-call"),
    _innocent("idle-memory", lambda: n.Plain(n.Remembers(used=False)), twin="remembers"),
)


def _mixing(name: str) -> tuple[Truth, Truth]:
    """One of the networks that mix, branch or remember, and its twin."""
    planted, known = NETWORKS[name], name.replace(" ", "-")
    twin = _innocent(f"no-{known}", planted.twin, twin=known)
    if planted.mechanism == "not-repeatable":
        return _again(known, planted.make), twin
    repair: Repair = "holds" if planted.mechanism in ("different-branch", "signed-zero") else "refused"
    return Truth(known, planted.make, "batch-variant", planted.layer, planted.mechanism, repair), twin


def _of_selftest(name: str, repair: Repair = "holds") -> Truth:
    """One of the faults that the self-test plants, in its network."""
    fault = find_fault(name)

    def make() -> nn.Module:
        with open_planted(fault, 1, 0) as runner:
            return runner.net

    return Truth(f"selftest-{name}", make, "batch-variant", fault.layer, fault.mechanism or "", repair)


def _without_fault() -> nn.Module:
    with open_innocent(1, 0) as runner:
        return runner.net


SELFTEST = (
    _of_selftest("summation-tree"),
    _of_selftest("vector-tail"),
    _of_selftest("batch-scale", "refused"),
    _innocent("selftest-innocent", _without_fault, twin="selftest-summation-tree"),
)


def _graph(name: str) -> tuple[Truth, Truth]:
    """One of the ONNX graphs that do, and its twin."""
    graph, known = GRAPHS[name], f"onnx-{name.replace(' ', '-')}"
    twin = _innocent(f"{known}-not", graph.twin, twin=known, inputs="small")
    if graph.mechanism == "not-repeatable":
        return _again(known, graph.model, inputs="small"), twin
    repair: Repair = "holds" if graph.mechanism == "different-branch" else "refused"
    return Truth(known, graph.model, "batch-variant", graph.layer, graph.mechanism, repair, inputs="small"), twin


TABLE = (
    *FAULTY,
    *SELFTEST,
    *INNOCENT,
    *(truth for name in NETWORKS for truth in _mixing(name)),
    *(truth for name in GRAPHS for truth in _graph(name)),
)
"""Every planted network and its innocent twins."""
