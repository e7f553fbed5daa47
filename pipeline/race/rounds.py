"""The rounds of a race: one call of each contestant in random order; a disturbed round is repeated as a whole."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from isobatch.pipeline.machine.disturbance import UNSTEADY, is_disturbed, stolen_ticks
from isobatch.pipeline.race.contestant import Contestant, Missed
from isobatch.pipeline.race.crossing import Turn
from isobatch.pipeline.records.errors import WorkerError

PATIENCE_S = 15.0  # waited at most for other programs to be done
_PAUSE_S = 1.0
_JUDGED = 5  # rounds, from which on other programs are waited for where too many were disturbed
TRIED = 3  # timed calls at each N of the preliminary


Round = dict[str, tuple[float, float]]
"""By entry the seconds of its call, and those that its threads waited."""


@dataclass(eq=False)
class Entry:
    """A contestant in the race, its N, and what became of it."""

    name: str
    contestant: Contestant
    batch_size: int
    limit_s: float  # of one turn
    open_s: float  # of opening it
    call_s: list[float] = field(default_factory=list)  # of its call in each round that counts
    # How long that call's threads waited for a core, all together; 0 where the kernel does not tell.
    waited_s: list[float] = field(default_factory=list)
    tried_s: dict[int, float] = field(default_factory=dict)  # seconds an image at each N of its preliminary
    peak_memory_bytes: int = 0
    dropped: str | None = None
    restarted: bool = False

    def turn(self, n: int | None = None, calls: int = 1) -> Turn | None:
        """Its turn, at its N unless told otherwise. None where it gave no time: dropped, or started again (once)."""
        limit_s = self.limit_s * (1 + calls) / 2
        try:
            turn = self.contestant.turn(n or self.batch_size, limit_s, calls)
        except WorkerError as error:
            self.dropped = error.reason
            return None
        except Missed:
            self._again(f"no answer within {limit_s:.3g} s, the limit of its turn")
            return None
        self.peak_memory_bytes = max(self.peak_memory_bytes, turn.peak_memory_bytes)
        return turn

    def open(self) -> None:
        """Start it; it is dropped where it cannot be."""
        try:
            self.contestant.start(self.open_s)
        except WorkerError as error:
            self.dropped = error.reason
        except Missed:
            self._drop(f"not open within {self.open_s:.3g} s")

    def _again(self, why: str) -> None:
        if self.restarted:
            self._drop(f"{why}, twice")
        else:
            self.restarted = True
            self.open()

    def _drop(self, why: str) -> None:
        """Out of the race, and ended: what is still opening runs beside the others, and memory is theirs."""
        self.dropped = why
        self.contestant.end()


@dataclass
class Tally:
    """How the rounds went."""

    rounds: int = 0  # those that count
    run: int = 0  # in all
    disturbed: int = 0  # of all
    waited_s: float = 0.0
    seconds: float = 0.0

    @property
    def unsteady(self) -> bool:
        """Whether too many rounds were disturbed."""
        return self.disturbed > UNSTEADY * self.run


def preliminary(entry: Entry, sizes: Sequence[int], limit_s: float = math.inf) -> float | None:
    """Give the entry the best of these N, by calls that price nothing.

    Seconds an image there; None where it gave no time. ``limit_s``: seconds an image beyond which one call that nothing
    disturbed is enough, at the first N.
    """
    per_image = entry.tried_s
    for n in sizes:
        for calls in (1, TRIED) if not per_image and limit_s < math.inf else (TRIED,):
            turn = None if entry.dropped else entry.turn(n, calls)
            if turn is None:
                continue
            per_image[n] = min(turn.seconds) / n
            if calls == 1 and per_image[n] > limit_s and not is_disturbed(turn.waited_s[0], turn.seconds[0]):
                return per_image[n]
    if not per_image:
        return None
    entry.batch_size = min(per_image, key=lambda n: per_image[n])
    return per_image[entry.batch_size]


def race(
    entries: Sequence[Entry],
    seconds: float,
    ended: Callable[[Tally], bool],
    told: Callable[[Tally], None] = lambda tally: None,
    stolen: Callable[[], int | None] = stolen_ticks,
    pause: Callable[[float], None] = time.sleep,
    seed: int = 0,
    patience_s: float = PATIENCE_S,
) -> Tally:
    """Run rounds until ``ended`` says so or ``seconds`` are over, and append each counted call to its entry.

    A disturbed round is repeated. Where too many are, other programs are waited for, ``patience_s`` at most and on top
    of ``seconds``; after that disturbed rounds count, those put aside before them too.
    """
    order, tally, aside = random.Random(seed), Tally(), list[Round]()
    begin = time.monotonic()
    while time.monotonic() - begin < seconds + tally.waited_s:
        running = [entry for entry in entries if entry.dropped is None]
        if not running:
            break
        order.shuffle(running)
        seen, disturbed = _round(running, stolen)
        tally.seconds = time.monotonic() - begin
        if seen is None:
            continue
        tally.run += 1
        tally.disturbed += disturbed
        if disturbed and tally.waited_s < patience_s:
            aside.append(seen)
            if tally.run >= _JUDGED and tally.unsteady:
                pause(_PAUSE_S)
                tally.waited_s += _PAUSE_S
            told(tally)
            continue
        if tally.waited_s >= patience_s:
            _count(entries, aside, tally)
        _count(entries, [seen], tally)
        told(tally)
        if ended(tally):
            break
    if tally.unsteady or not tally.rounds:
        _count(entries, aside, tally)
    tally.seconds = time.monotonic() - begin
    return tally


def _round(running: Sequence[Entry], stolen: Callable[[], int | None]) -> tuple[Round | None, bool]:
    """What was seen of each entry's call, and whether the round was disturbed; None where one of them gave no time."""
    before, seen, disturbed = stolen(), Round(), False
    for entry in running:
        turn = entry.turn()
        if turn is None:
            return None, False
        seen[entry.name] = turn.seconds[0], turn.waited_s[0] or 0.0
        disturbed |= is_disturbed(turn.waited_s[0], turn.seconds[0])
    return seen, disturbed or before != stolen()


def _count(entries: Sequence[Entry], rounds: list[Round], tally: Tally) -> None:
    """Add these rounds, and forget them."""
    for seen in rounds:
        tally.rounds += 1
        for entry in entries:
            if entry.name in seen:
                seconds, waited = seen[entry.name]
                entry.call_s.append(seconds)
                entry.waited_s.append(waited)
    rounds.clear()
