"""The table of planted networks: what each is, and what is true of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from tests.planted import networks as n

Verdict = Literal["batch-invariant", "batch-variant", "not-repeatable", "invalid"]


@dataclass(frozen=True)
class Truth:
    """One network. ``layer``: where its fault stands, by the beginning of its name ("": in none, or not asked).

    ``mechanism``: in the words of the method, "" for an innocent one. ``repairable``: by running layers in one shape.
    ``twin``: the faulty one that an innocent network resembles.
    """

    name: str
    make: Callable[[], nn.Module]
    verdict: Verdict
    layer: str = ""
    mechanism: str = ""
    repairable: bool = False
    twin: str = ""
    inputs: Literal["images", "words"] = "images"


def _images() -> Any:
    return np.random.default_rng(3).standard_normal((6, 3, 16, 16), np.float32)


def _words() -> Any:
    return np.random.default_rng(3).integers(0, 11, (6, 5))


INPUTS = {"images": _images, "words": _words}

VARIANT = (
    Truth("one-ulp", lambda: n.Plain(n.OneUlp(1)), "batch-variant", "planted", "different-algorithm", True),
    Truth("one-ulp-from-5", lambda: n.Plain(n.OneUlp(4)), "batch-variant", "planted", "different-algorithm", True),
    Truth("in-a-dict", lambda: n.Outputs("dict", n.OneUlp(1)), "batch-variant", "planted", "different-algorithm", True),
    Truth(
        "in-a-tuple", lambda: n.Outputs("tuple", n.OneUlp(2)), "batch-variant", "planted", "different-algorithm", True
    ),
    Truth(
        "in-a-dataclass",
        lambda: n.Outputs("dataclass", n.OneUlp(1)),
        "batch-variant",
        "planted",
        "different-algorithm",
        True,
    ),
    Truth("in-threes", lambda: n.Plain(n.InThrees(2)), "batch-variant", "planted", "different-algorithm", True),
    Truth(
        "of-words",
        lambda: n.Table(n.OneUlp(1)),
        "batch-variant",
        "planted",
        "different-algorithm",
        True,
        inputs="words",
    ),
    Truth("place", lambda: n.Plain(n.Place()), "batch-variant", "", "different-algorithm", True),
    Truth("negative-zero", lambda: n.Plain(n.NegativeZero()), "batch-variant", "", "different-branch", True),
    Truth("branch", lambda: n.Plain(n.Branch(other=True)), "batch-variant", "", "different-branch", True),
    Truth("mean", lambda: n.Plain(n.Mean()), "batch-variant", "planted", "neighbour-leak"),
    Truth("mean-square", lambda: n.Plain(n.MeanSquare()), "batch-variant", "", "neighbour-leak"),
    Truth(
        "batch-norm",
        lambda: n.Plain(nn.BatchNorm2d(3, track_running_stats=False)),
        "batch-variant",
        "planted",
        "neighbour-leak",
    ),
    Truth("beside-bright", lambda: n.Plain(n.BesideBright()), "batch-variant", "", "neighbour-leak"),
    Truth("swapped", lambda: n.Plain(n.Swapped()), "batch-variant", "", "wrong-row"),
)
NOT_REPEATABLE = (
    Truth("dropout", lambda: n.Plain(n.Dropout()), "not-repeatable"),
    Truth("counter", lambda: n.Plain(n.Counter()), "not-repeatable"),
    Truth("remembers", lambda: n.Plain(n.Remembers(used=True)), "not-repeatable"),
    Truth("noise", lambda: n.Plain(n.Noise()), "not-repeatable"),
)
INVALID = (
    Truth("some-nan", lambda: n.Plain(n.SomeNaN()), "invalid"),
    Truth("constant", lambda: n.Plain(n.Constant()), "invalid"),
)
INNOCENT = (
    Truth("plain", lambda: n.Plain(), "batch-invariant", twin="one-ulp"),
    Truth("never", lambda: n.Plain(n.OneUlp(99)), "batch-invariant", twin="one-ulp-from-5"),
    Truth("dict", lambda: n.Outputs("dict", nn.Identity()), "batch-invariant", twin="in-a-dict"),
    Truth("tuple", lambda: n.Outputs("tuple", nn.Identity()), "batch-invariant", twin="in-a-tuple"),
    Truth("dataclass", lambda: n.Outputs("dataclass", nn.Identity()), "batch-invariant", twin="in-a-dataclass"),
    Truth("in-threes-plain", lambda: n.Plain(n.InThrees(3)), "batch-invariant", twin="in-threes"),
    Truth("words", lambda: n.Table(nn.Identity()), "batch-invariant", twin="of-words", inputs="words"),
    Truth("same-branch", lambda: n.Plain(n.Branch(other=False)), "batch-invariant", twin="branch"),
    Truth("own-maximum", lambda: n.Plain(n.OwnMean()), "batch-invariant", twin="mean"),
    Truth("running-statistics", lambda: n.Plain(nn.BatchNorm2d(3)), "batch-invariant", twin="batch-norm"),
    Truth("own-brightness", lambda: n.Plain(n.OwnBright()), "batch-invariant", twin="beside-bright"),
    Truth("dropout-off", lambda: n.Plain(n.DropoutOff()), "batch-invariant", twin="dropout"),
    Truth("idle-counter", lambda: n.Plain(n.IdleCounter()), "batch-invariant", twin="counter"),
    Truth("idle-memory", lambda: n.Plain(n.Remembers(used=False)), "batch-invariant", twin="remembers"),
)
TABLE = (*VARIANT, *NOT_REPEATABLE, *INVALID, *INNOCENT)
