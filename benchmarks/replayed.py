"""Decisions made again and again from the rounds of one recorded race, and compared with the truth of another."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.decide.choice import Contender, choose
from isobatch.pipeline.decide.race import LOOKS, ratios, spread_of

MARGIN = 0.05

Times = NDArray[np.float64]
"""[rounds, contestants]: seconds an image that a call took, or that its threads waited."""


def replay(arguments: argparse.Namespace) -> None:
    """Decide again and again from resampled rounds, and compare with the truth of another race."""
    recorded, truth = (json.loads(path.read_text()) for path in (arguments.race, arguments.truth))
    names = [name for name in recorded["seconds"] if name in truth["seconds"]]
    true, times = _table(truth["seconds"], names), _table(recorded["seconds"], names)
    waited = _table(recorded["waited"], names) if recorded["unsteady"] and "waited" in recorded else None
    real = ratios(true).ratio
    random = np.random.default_rng(arguments.seed)
    print(f"truth, {len(true)} rounds: {', '.join(f'{n} {r:.3f}' for n, r in zip(names, real, strict=True))}")
    print(f"recording: {len(times)} rounds, {recorded['disturbed']} disturbed beside them")
    spread = spread_of(recorded["unsteady"])
    rows = [
        _decision(*_planted(times, waited, random, arguments.planted, arguments.rounds), names, real, spread)
        for _ in range(arguments.decisions)
    ]
    print(f"{arguments.decisions} decisions, {arguments.planted:.0%} of the rounds disturbed:")
    print(f"  chosen within 5 % of the fastest   {_share(rows, 'near')}")
    print(f"  dominated choices                  {_share(rows, 'dominated')}")
    print(f"  intervals that cover               {np.mean([c for row in rows for c in row['covers']]):.1%}")
    print(f"  false standings                    {_share(rows, 'false')}")
    print(f"  median width of an interval        {np.median([w for row in rows for w in row['widths']]):.3f}")
    print(f"  median rounds                      {np.median([row['rounds'] for row in rows]):.0f}")
    print(f"  median sureness                    {np.median([row['share'] for row in rows]):.2f}")
    null = [_null(times[:, 0], random, arguments.planted, spread) for _ in range(arguments.decisions)]
    print(f"null, a true ratio of 1.05: false decisions {np.mean(null):.1%}")


def _table(recorded: dict[str, list[float]], names: Sequence[str]) -> Times:
    return np.array([recorded[name] for name in names]).T


def _planted(
    times: Times, waited: Times | None, random: np.random.Generator, share: float, count: int
) -> tuple[Times, Times | None]:
    """``count`` rounds drawn with replacement; in some of them one call is disturbed."""
    rounds = random.integers(0, len(times), count)
    slowed = times[rounds].copy()
    for row in np.flatnonzero(random.random(len(slowed)) < share):
        slowed[row, random.integers(0, slowed.shape[1])] *= random.uniform(1.1, 3.0)
    return slowed, None if waited is None else waited[rounds]


def _looked(times: Times, waited: Times | None, spread: float) -> int:
    """The rounds after which a race would have ended."""
    for look in (look for look in LOOKS if look <= len(times)):
        known = None if waited is None else waited[:look]
        if ratios(times[:look], spread, known, resamples=1000).settled(MARGIN):
            return look
    return len(times)


def _decision(times: Times, waited: Times | None, names: Sequence[str], real: Times, spread: float) -> dict[str, Any]:
    """One race as it would have ended: what was chosen, and whether what it said is true."""
    ended = _looked(times, waited, spread)
    contenders = [
        Contender(name, tuple(times[:ended, at]), () if waited is None else tuple(waited[:ended, at]))
        for at, name in enumerate(names)
    ]
    choice = choose(contenders, MARGIN, spread=spread)
    chosen, seen = names.index(choice.chosen), choice.ratios
    assert seen is not None and seen.low is not None and seen.high is not None
    covers = [bool(seen.low[at] <= real[at] <= seen.high[at]) for at in range(len(names)) if at != seen.leader]
    slower = [choice.standings[name] == "slower" and real[at] < 1 + MARGIN for at, name in enumerate(names)]
    as_fast = [choice.standings[name] == "as-fast" and real[at] > 1 + MARGIN for at, name in enumerate(names)]
    return {
        "near": bool(real[chosen] <= 1 + MARGIN),
        "dominated": bool(real[chosen] > 1 + MARGIN and choice.standings[choice.chosen] != "leader"),
        "covers": covers,
        "false": any(slower) or any(as_fast),
        "widths": [float(seen.high[at] - seen.low[at]) for at in range(len(names)) if at != seen.leader],
        "rounds": ended,
        "share": choice.share,
    }


def _null(column: Times, random: np.random.Generator, planted: float, spread: float) -> bool:
    """Two contestants of one contestant's own noise, the second slower by exactly the margin: is anything decided?

    The two calls of a round are those of two rounds close to one another, either way round, never the same: each has
    noise of its own, and the drift of the recording is in both.
    """
    rows = random.integers(3, len(column) - 3, LOOKS[-1])
    apart = random.integers(1, 4, len(rows)) * random.choice([-1, 1], len(rows))
    times = np.stack([column[rows], column[rows + apart] * (1 + MARGIN)], axis=1)
    for row in np.flatnonzero(random.random(len(times)) < planted):
        times[row, random.integers(0, 2)] *= random.uniform(1.1, 3.0)
    return any(ratios(times[:look], spread, resamples=1000).decided(MARGIN) for look in LOOKS)


def _share(rows: Sequence[dict[str, Any]], name: str) -> str:
    return f"{np.mean([row[name] for row in rows]):.1%}"
