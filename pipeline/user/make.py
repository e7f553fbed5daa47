"""A user's network made batch-invariant: the ladder climbed on a copy, and the object handed back verified as it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from isobatch.models.registry import load
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.explain.findings import Located, Watched
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.records.wording import sizes
from isobatch.pipeline.repair.ladder import Scope, best, climb
from isobatch.pipeline.repair.layers import survey
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.tried import Tried, tried_json
from isobatch.pipeline.repair.verify import OutOfTime, every_size
from isobatch.pipeline.user.asked import Asked, Examples
from isobatch.pipeline.user.checks import Compared, compared, mixes, same_rows
from isobatch.pipeline.user.noted import Leaves
from isobatch.pipeline.user.origins import SEED, main_origin
from isobatch.pipeline.user.results import BatchInvariance, CannotRepair, MadeInvariant

_PAIRS, _LEAST_PAIRS, _ENOUGH_S = 7, 3, 1.5  # of calls that price a repair, at each N
_SCREEN = 2
_LOOKED, _CLIMBED = 0.4, 0.6  # shares of the time after which no layer, no candidate is begun; the rest verifies


def repaired(network: Any, asked: Asked) -> MadeInvariant:
    """The network itself where it is batch-invariant, or the cheapest repair that holds. Raises CannotRepair."""
    opened = load("isobatch.models.user_networks:open_network")
    with opened(network) as runner:
        say = asked.say
        asked = replace(asked, rows=runner.fitted(asked.rows))
        native = compared(
            runner,
            asked.rows,
            asked.scope,
            stop_at_first=True,
            deadline=asked.deadline,
            say=lambda text: say(f"does it need a repair? {text}"),
        )
        if native.result.batch_invariant:
            return MadeInvariant(network, _as_it_is(native.result), native.result, _missing(native.result, asked))
        if native.result.verdict != "batch-variant":
            raise CannotRepair(str(native.result))
        if not isinstance(runner, Watched):
            raise CannotRepair("this network cannot be looked into")
        _refuse_mixing(runner, asked, native.result)
        bench, left = _bench(runner, asked)
        outcome = _outcome(native.singles)
        quick = _scope(asked, outcome, few_sizes)
        tried = climb(bench, quick, lambda count: say("trying repairs"), math.inf, asked.rungs)
        made = _delivered(network, native, tried, asked, left)
        if made and isinstance(made, str):  # what held at some N does not at all of them: every N for every candidate
            every = _scope(asked, outcome, every_size)
            tried = climb(bench, every, lambda count: say("trying repairs"), math.inf, asked.rungs)
            made = _delivered(network, native, tried, asked, left)
    if isinstance(made, str):
        records = repair_records(tried_json(tried), asked.objective)
        reasons = [f"{one.name}: {asked.over if one.out_of_time else one.note}" for one in records]
        raise CannotRepair(
            f"no repair holds for {sizes(asked.scope)}: {'; '.join([*reasons, *left, made])}".rstrip("; ")
        )
    return made


def _refuse_mixing(runner: Any, asked: Asked, native: BatchInvariance) -> None:
    """Raise CannotRepair where the neighbours' values reach a row, unless by the scale of a dynamic quantization.

    What one example gives alone is not what such a network was made for: no shape repairs it.
    """
    n = next(one.batch_size for one in native.batch_sizes if one.n_images_equal < one.n_images)
    if not mixes(runner, asked.rows, n):
        return
    asked.say("the network mixes examples: looking for the layer")
    origin = main_origin(runner, asked.rows, native)
    if origin and "dynamic" in origin.kind.replace("-", ""):
        return
    where = f", most in {origin}" if origin else ""
    raise CannotRepair(
        f"neighbour-leak: the network itself mixes examples (at N = {n} other neighbours change a row){where}. Running "
        "its layers in another shape repairs no such network: let it compute from each example alone (batch norms on "
        "their running statistics; means, sums and scales over the other axes only)"
    )


def few_sizes(n_images: int, batch_sizes: Sequence[int]) -> tuple[Pass, ...]:
    """A first look at a candidate: a batch of the smallest N and of the largest, and beside an outlier."""
    few = sorted({min(batch_sizes), max(batch_sizes)})
    return (
        Pass("singles", 1, 0, n_images),
        *(Pass("batched", n, 0, n) for n in few),
        Pass("neighbours", few[-1], n_images - few[-1], n_images),
    )


def _bench(runner: Any, asked: Asked) -> tuple[Bench, list[str]]:
    """What the rungs need to know of every layer; and what was left out for want of time."""
    left: list[str] = []

    def done(work: int) -> None:
        asked.say("looking at every layer")
        if time.monotonic() > asked.until(_LOOKED):
            raise OutOfTime

    try:
        located, shapes = survey(runner, asked.rows, asked.scope[-1], SEED, done)
    except OutOfTime:
        located, shapes = Located({}, True, []), {}
        left.append(f"not every layer was looked at: {asked.over}")
    bench = Bench(runner, runner.threads, asked.rows, asked.scope, located, shapes, asked.objective)
    return bench, left


def _outcome(singles: Leaves) -> Outcome:
    """The largest of one row of floats; of other outputs the bytes."""
    values = [*singles.values()]
    return CLASSES if len(values) == 1 and values[0].ndim == 2 and values[0].dtype.kind in "fV" else Outcome("raw")


def _scope(asked: Asked, outcome: Outcome, passes: Callable[[int, Sequence[int]], tuple[Pass, ...]]) -> Scope:
    examples = cast(Images, Examples("example", asked.rows))  # all that a repair asks of a stored set
    return Scope(
        [examples],
        asked.scope,
        {},
        _PAIRS,
        _LEAST_PAIRS,
        priced=sorted({1, asked.scope[-1]}),
        enough_s=_ENOUGH_S,
        passes=passes,
        stop_at_first=True,
        deadline=asked.until(_CLIMBED),
        screen=_SCREEN,
        outcome=outcome,
        say=asked.say,
    )


def _delivered(
    network: Any, native: Compared, tried: list[Tried], asked: Asked, left: Sequence[str]
) -> MadeInvariant | str:
    """The cheapest candidate that holds once more as the very object that is handed back; "" or why there is none."""
    remaining, failed = list(tried), ""
    while (chosen := best(remaining, asked.objective)) is not None and chosen.candidate is not None:
        remaining.remove(chosen)
        asked.say(f"{chosen.rung}: verifying what is handed back")
        with load("isobatch.models.user_networks:open_network")(network) as fresh:
            made = load("isobatch.models.user_networks:network_of")(chosen.candidate.build(fresh))
        try:
            with load("isobatch.models.user_networks:open_network")(made, as_it_is=True) as runner:
                final = compared(
                    runner,
                    asked.rows,
                    asked.scope,
                    deadline=asked.deadline,
                    say=lambda text: asked.say(f"verifying what is handed back: {text}"),
                )
        except Exception as error:
            failed = " ".join(f"{chosen.rung} as handed back failed: {type(error).__name__}: {error}".split())
            continue
        if final.result.batch_invariant:
            records = repair_records(tried_json(tried), asked.objective, tried.index(chosen))
            record = next(one for one in records if one.name == chosen.rung)
            record = _of_final(record, final.result, same_rows(native.singles, final.singles))
            missing = (*left, *_missing(final.result, asked), *_untried(tried, asked, chosen.rung))
            noted = "; ".join([record.note, *missing])
            return MadeInvariant(made, record.model_copy(update={"note": noted}), final.result, missing)
        failed = f"{chosen.rung} as handed back: {final.result}"
    return failed


def _of_final(record: Repair, final: BatchInvariance, as_native: bool) -> Repair:
    """The record of what the object handed back gave, not of a first look at it."""
    return record.model_copy(
        update={
            "scope": _scope_words(final),
            "singles_as_native": as_native,
            "n_images": final.tested.n_images,
            "n_comparisons": len(final.batch_sizes),
        }
    )


def _scope_words(result: BatchInvariance) -> str:
    return f"{sizes(result.tested.batch_sizes)}: {result.tested}"


def _as_it_is(native: BatchInvariance) -> Repair:
    return Repair(
        name="native",
        batch_invariant=True,
        scope=_scope_words(native),
        singles_as_native=True,
        n_images=native.tested.n_images,
        n_comparisons=len(native.batch_sizes),
        note="it is batch-invariant as it is",
    )


def _missing(result: BatchInvariance, asked: Asked) -> tuple[str, ...]:
    missing = result.tested.not_tried
    return (f"{sizes(missing)} not tried: {asked.over}",) if missing else ()


def _untried(tried: Sequence[Tried], asked: Asked, taken: str) -> list[str]:
    """The rungs that were not run to the end, and those that a cheap one made needless."""
    found = []
    for one in tried:
        if one.out_of_time or one.too_dear:
            how = f" ({one.candidate.how})" if one.candidate else ""
            found.append(f"{one.rung}{how}: {asked.over if one.out_of_time else one.why}")
    passed = [rung for rung in asked.rungs if all(one.rung != rung for one in tried)]
    if passed:
        found.append(f"{' and '.join(passed)} not tried: {taken} costs next to nothing")
    return found
