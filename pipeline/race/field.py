"""Who enters the race: the candidates that the passes do not show to be clearly slower, as many as may be live."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from isobatch.pipeline.decide.batch_size import NEAR, falls_short, promising, roughly
from isobatch.pipeline.decide.policy import obstacles
from isobatch.pipeline.decide.repaired_variants import native_name, with_repairs
from isobatch.pipeline.race.rounds import Entry, preliminary
from isobatch.pipeline.records.study import Policy, Rejected, VariantResult
from isobatch.pipeline.records.wording import two_decimals

MOST = 6
DOUBTED = 4.0
"""In the passes, though, up to here it is asked again by calls in turn: a busy neighbour makes a whole job 3.5 times as
slow with some engines, and the passes do not know."""


@dataclass(frozen=True)
class Wanted:
    """One to be raced."""

    variant: VariantResult
    sizes: tuple[int, ...]  # the N to try
    seconds: float  # an image, as the passes had it
    memory_bytes: int  # as the passes had it
    admissible: bool  # it meets every demand; else it is there for the price of stability
    doubted: bool = False  # in the passes it is clearly slower, and it is raced only where calls in turn say otherwise


def field(
    variants: Sequence[VariantResult], policy: Policy, free_bytes: int | None
) -> tuple[list[Wanted], list[Rejected]]:
    """Who is raced, the fastest first, and who meets every demand and is not, with the reason.

    Of the repaired selves of one variant the cheapest enters. ``free_bytes``: memory that may be taken.
    """
    known = _best_repaired([wanted for variant in with_repairs(variants) if (wanted := _wanted(variant, policy))])
    open_to = sorted((wanted for wanted in known if wanted.admissible), key=lambda entry: entry.seconds)
    if policy.objective == "size" and open_to:
        open_to = [wanted for wanted in open_to if not falls_short(wanted.variant.cost, policy)] or open_to
        smallest = min(_size(wanted) for wanted in open_to)
        open_to = [wanted for wanted in open_to if _size(wanted) <= smallest * (1 + policy.cost_margin / 100)]
    if not open_to:
        return [], []
    first, taken, chosen, left_out = open_to[0], 0, list[Wanted](), list[Rejected]()
    rivals = sorted((wanted for wanted in known if not wanted.admissible), key=lambda entry: entry.seconds)
    near = [wanted for wanted in open_to if wanted.seconds <= first.seconds * NEAR]
    doubted = [replace(wanted, doubted=True) for wanted in open_to[len(near) :]]
    for wanted in [*near, *(rival for rival in rivals[:1] if rival.seconds <= first.seconds * NEAR), *doubted]:
        why = _why_not(wanted, first, len(chosen), taken, free_bytes)
        if not why:
            chosen.append(wanted)
            taken += wanted.memory_bytes
        elif wanted.admissible:
            left_out.append(Rejected(variant=wanted.variant.name, why=why))
    return chosen, left_out


def _why_not(wanted: Wanted, first: Wanted, entered: int, taken: int, free_bytes: int | None) -> str:
    times = wanted.seconds / first.seconds
    if times > DOUBTED:
        return f"{slower(times, first.variant.name)} in the passes)"
    if entered >= MOST:
        return f"{MOST} that were faster in the passes were taken before it, and a race takes no more"
    if free_bytes is not None and entered and taken + wanted.memory_bytes > free_bytes:
        return "memory is too small to keep it beside those that were faster in the passes"
    return ""


def slower(times: float, fastest: str) -> str:
    """The beginning of why one is not raced."""
    return f"clearly slower ({two_decimals(times)} times the time of {fastest}"


def _wanted(variant: VariantResult, policy: Policy) -> Wanted | None:
    """The variant as one that may be raced; None where it meets no policy but for stability, has no open N, or is
    clearly slower than what is demanded.
    """
    admissible = not obstacles(variant, policy)
    if not admissible and obstacles(variant, policy.model_copy(update={"stability": "none"})):
        return None
    if variant.cost is None or (best := roughly(variant.cost, policy)) is None:
        return None
    if policy.min_throughput_img_s is not None and best[1] * policy.min_throughput_img_s > NEAR:
        return None
    memory = variant.cost.peak_memory_bytes or 0
    return Wanted(variant, tuple(promising(variant.cost, policy)), best[1], memory, admissible)


def _size(wanted: Wanted) -> int:
    return wanted.variant.cost.size_bytes if wanted.variant.cost else 0


def _best_repaired(known: Sequence[Wanted]) -> list[Wanted]:
    """All natives, and of each one's repaired selves that of least time, those that meet every demand before others."""
    best: dict[str, Wanted] = {}
    for wanted in sorted(known, key=lambda rival: (not rival.admissible, rival.seconds)):
        name = wanted.variant.name
        best.setdefault(name if native_name(name) == name else f"{native_name(name)}+", wanted)
    return list(best.values())


def fastest_of(variants: Sequence[VariantResult], policy: Policy, precision: str) -> Wanted | None:
    """The fastest in the passes of a precision, repaired selves left out; None where none was timed."""
    anything = Policy(stability="none", objective=policy.objective, max_latency_ms=policy.max_latency_ms)
    known = [w for v in variants if v.precision == precision and (w := _wanted(v, anything))]
    return min(known, key=lambda w: w.seconds, default=None)


def entered(asked: Iterable[tuple[Wanted, Entry]], kept: str = "") -> tuple[list[Entry], list[Rejected]]:
    """The entries that race, open and each at its best N; and who was doubted and is clearly slower indeed, ended.

    ``kept``: the one that stays open all the same.
    """
    racing, slow, name, fastest = list[Entry](), list[Rejected](), "", math.inf
    for wanted, entry in asked:
        entry.open()
        seconds = preliminary(entry, wanted.sizes, NEAR * fastest if wanted.doubted else math.inf)
        if wanted.doubted and seconds is not None and seconds > NEAR * fastest:
            if entry.name != kept:
                entry.contestant.end()
            slow.append(Rejected(variant=entry.name, why=f"{slower(seconds / fastest, name)} in calls in turn)"))
            continue
        racing.append(entry)
        if seconds is not None and seconds < fastest:
            name, fastest = entry.name, seconds
    return racing, slow
