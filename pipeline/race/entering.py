"""Who of those that are opened runs in the race: whom the passes left in doubt is asked by calls in turn."""

from __future__ import annotations

import math
from collections.abc import Iterable

from isobatch.pipeline.race.field import NEAR, Wanted, slower
from isobatch.pipeline.race.rounds import Entry, preliminary
from isobatch.pipeline.records.study import Rejected


def entered(asked: Iterable[tuple[Wanted, Entry]]) -> tuple[list[Entry], list[Rejected]]:
    """The entries that race, open and each at its best N; and who was doubted and is clearly slower indeed, ended."""
    racing, slow, name, fastest = list[Entry](), list[Rejected](), "", math.inf
    for wanted, entry in asked:
        entry.open()
        seconds = preliminary(entry, wanted.sizes)
        if wanted.doubted and seconds is not None and seconds > NEAR * fastest:
            entry.contestant.end()
            slow.append(Rejected(variant=entry.name, why=f"{slower(seconds / fastest, name)} in calls in turn)"))
            continue
        racing.append(entry)
        if seconds is not None and seconds < fastest:
            name, fastest = entry.name, seconds
    return racing, slow
