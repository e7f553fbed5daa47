"""A user's network made batch-invariant: the ladder climbed on a copy, and the object handed back verified as it is."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.mixing import mixes
from isobatch.pipeline.explain.findings import Watched
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.records.wording import sizes
from isobatch.pipeline.repair.crossing import UNREPAIRED
from isobatch.pipeline.repair.ladder import Tried, attempts, climb
from isobatch.pipeline.repair.layers import survey_all
from isobatch.pipeline.repair.records import best, repair_records
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.verify import OutOfTime, Scope, every_size
from isobatch.pipeline.user.asked import Examples, RepairRequest, opened
from isobatch.pipeline.user.checks import Compared, compared, same_rows
from isobatch.pipeline.user.noted import Leaves
from isobatch.pipeline.user.origins import REMEDY, SEED, mechanism_of, shapes_may_repair, where_it_starts
from isobatch.pipeline.user.results import BatchInvariance, CannotRepair, MadeInvariant

_PAIRS, _LEAST_PAIRS, _ENOUGH_S = 7, 3, 1.5  # of calls that price a repair, at each N
_SCREEN = 2
_LOOKED, _CLIMBED = 0.4, 0.6  # shares of the time after which no layer, no candidate is begun; the rest verifies


def repaired_network(network: Any, asked: RepairRequest) -> MadeInvariant:
    """The network itself where it is batch-invariant, or the cheapest repair that holds. Raises CannotRepair."""
    first = asked.conditions[0]
    with opened(network, first.threads) as runner:
        fitted = tuple(replace(condition, rows=runner.fitted(condition.rows)) for condition in asked.conditions)
        asked = replace(asked, conditions=fitted)
        comparisons = _compared(network, asked, "does it need a repair?", stop_at_first=True, first=runner)
        native, last = comparisons[0], comparisons[-1].result
        if last.batch_invariant:
            note = "it is batch-invariant as it is"
            as_it_is = Repair(name=UNREPAIRED, batch_invariant=True, scope="", singles_as_native=True, note=note)
            return _record(network, as_it_is, comparisons, (), asked)
        if last.verdict != "batch-variant":
            raise CannotRepair(str(last))
        if not isinstance(runner, Watched):
            raise CannotRepair("this network cannot be looked into")
        _refuse_mixing(runner, asked, asked.conditions[len(comparisons) - 1].rows, last)
        bench, left = _bench(runner, network, asked)
        outcome = _outcome(native.singles)
        for passes in (few_sizes, every_size):  # what holds at some N may not at all of them: then every N for each
            scope = _scope(network, asked, outcome, passes)
            tried = climb(bench, scope, math.inf, asked.rungs)
            made = _delivered(network, native, tried, asked, left)
            if not made or not isinstance(made, str):
                break
    if isinstance(made, str):
        records = repair_records(attempts(tried), asked.objective)
        late = {repair.name for repair in records if repair.state == "out-of-time"}
        reasons = [f"{repair.name}: {asked.over if repair.name in late else repair.note}" for repair in records]
        raise CannotRepair(
            f"no repair holds for {sizes(asked.scope)}: {'; '.join([*reasons, *left, made])}".rstrip("; ")
        )
    return made


def _compared(
    network: Any, asked: RepairRequest, doing: str, *, stop_at_first: bool, as_it_is: bool = False, first: Any = None
) -> list[Compared]:
    """The network under every condition, until it is not batch-invariant under one. ``first``: open for the first."""
    comparisons: list[Compared] = []
    for condition in asked.conditions:
        where = f", {condition}" if len(asked.conditions) > 1 else ""
        at_hand = first is not None and condition is asked.conditions[0]
        with nullcontext(first) if at_hand else opened(network, condition.threads, as_it_is=as_it_is) as runner:
            comparisons.append(
                compared(
                    runner,
                    condition.rows,
                    asked.scope,
                    stop_at_first=stop_at_first,
                    deadline=asked.deadline,
                    say=lambda text, where=where: asked.say(f"{doing} {text}{where}"),  # type: ignore[misc]
                )
            )
        if not comparisons[-1].result.batch_invariant:
            break
    return comparisons


def _record(
    network: Any, repair: Repair, comparisons: Sequence[Compared], not_tried: Sequence[str], asked: RepairRequest
) -> MadeInvariant:
    """What is handed back, with what it gave under every condition."""
    results = [item.result for item in comparisons]
    late = dict.fromkeys(sizes(result.tested.not_tried) for result in results if result.tested.not_tried)
    missing = (*not_tried, *(f"{at} not tried: {asked.over}" for at in late))
    update = {
        "scope": "; ".join(f"{sizes(result.tested.batch_sizes)}: {result.tested}" for result in results),
        "n_images": sum(result.tested.n_images for result in results),
        "n_comparisons": sum(len(result.batch_sizes) for result in results),
    }
    if repair.name != UNREPAIRED:
        update["note"] = "; ".join([repair.note, *missing])
    return MadeInvariant(network, repair.model_copy(update=update), results[0], missing, tuple(results[1:]))


def _refuse_mixing(runner: Any, asked: RepairRequest, rows: NDArray[Any], native: BatchInvariance) -> None:
    """Raise CannotRepair where the neighbours' values reach a row, unless by the scale of a dynamic quantization.

    What one example gives alone is not what such a network was made for: no shape repairs it.
    """
    smallest = min(size.batch_size for size in native.differing)
    if (n := mixes(lambda batch: runner.leaves(batch).values(), rows, smallest)) is None:
        return
    asked.say("the network mixes examples: looking for the layer")
    start = where_it_starts(runner, rows, native)
    if shapes_may_repair(True, start):
        return
    where = f", in {start}" if start else ""
    raise CannotRepair(
        f"{mechanism_of(True, start)}: the network itself mixes examples (at N = {n} other neighbours change a row)"
        f"{where}. Running its layers in another shape repairs no such network: {REMEDY}"
    )


def few_sizes(n_images: int, batch_sizes: Sequence[int]) -> tuple[Pass, ...]:
    """A first look at a candidate: a batch of the smallest N and of the largest, and beside an outlier."""
    few = sorted({min(batch_sizes), max(batch_sizes)})
    return (
        Pass("singles", 1, 0, n_images),
        *(Pass("batched", n, 0, n) for n in few),
        Pass("neighbours", few[-1], n_images - few[-1], n_images),
    )


def _bench(runner: Any, network: Any, asked: RepairRequest) -> tuple[Bench, list[str]]:
    """What the rungs need to know of every layer; and what was left out for want of time."""
    late = False

    def done(work: int) -> None:
        nonlocal late
        asked.say("looking at every layer")
        if time.monotonic() > asked.until(_LOOKED):
            late = True
            raise OutOfTime

    first, *others = asked.conditions
    elsewhere = ((opened(network, condition.threads), condition.rows) for condition in others)
    located, shapes = survey_all([(nullcontext(runner), first.rows), *elsewhere], asked.scope[-1], SEED, done)
    left = [f"not every layer was looked at: {asked.over}"] if late else []
    bench = Bench(runner, runner.threads, asked.rows, asked.scope, located, shapes, asked.objective)
    return bench, left


def _outcome(singles: Leaves) -> Outcome:
    """The largest of one row of floats; of other outputs the bytes."""
    values = [*singles.values()]
    return CLASSES if len(values) == 1 and values[0].ndim == 2 and values[0].dtype.kind in "fV" else Outcome("raw")


def _scope(
    network: Any, asked: RepairRequest, outcome: Outcome, passes: Callable[[int, Sequence[int]], tuple[Pass, ...]]
) -> Scope:
    first = asked.conditions[0]
    mine = [c for c in asked.conditions if c.threads == first.threads]
    examples = [Examples(f"examples, {c}" if len(mine) > 1 else "examples", c.rows) for c in mine]
    return Scope(
        cast(list[Images], examples),  # all that a repair asks of a stored set
        asked.scope,
        {
            c: partial(opened, network, c)
            for c in dict.fromkeys(c.threads for c in asked.conditions if c.threads != first.threads)
        },
        _PAIRS,
        _LEAST_PAIRS,
        timed_sizes=sorted({1, asked.scope[-1]}),
        enough_s=_ENOUGH_S,
        passes=passes,
        stop_at_first=True,
        deadline=asked.until(_CLIMBED),
        screen=_SCREEN,
        outcome=outcome,
        say=asked.say,
        done=lambda count: asked.say("trying repairs"),
    )


def _delivered(
    network: Any, native: Compared, tried: list[Tried], asked: RepairRequest, left: Sequence[str]
) -> MadeInvariant | str:
    """The cheapest candidate that holds once more as the very object that is handed back; "" or why there is none."""
    remaining, failed = list(tried), ""
    while (chosen := best(remaining, asked.objective)) is not None and chosen.candidate is not None:
        remaining.remove(chosen)
        asked.say(f"{chosen.name}: verifying what is handed back")
        with opened(network, asked.conditions[0].threads) as fresh:
            repaired: Any = chosen.candidate.build(fresh)
            made = repaired.model if hasattr(repaired, "model") else repaired.net  # a ModelProto, or a module
        try:
            final = _compared(made, asked, "verifying what is handed back:", stop_at_first=False, as_it_is=True)
        except Exception as error:
            failed = " ".join(f"{chosen.name} as handed back failed: {type(error).__name__}: {error}".split())
            continue
        if final[-1].result.batch_invariant:
            records = repair_records(attempts(tried), asked.objective, tried.index(chosen))
            record = next(repair for repair in records if repair.name == chosen.name)
            update = {"singles_as_native": same_rows(native.singles, final[0].singles)}
            not_tried = (*left, *_untried(tried, asked, chosen.name))
            return _record(made, record.model_copy(update=update), final, not_tried, asked)
        failed = f"{chosen.name} as handed back: {final[-1].result}"
    return failed


def _untried(tried: Sequence[Tried], asked: RepairRequest, taken: str) -> list[str]:
    """The rungs that were not run to the end, and those that a cheap one made needless."""
    untried = []
    for attempt in tried:
        if attempt.out_of_time or attempt.too_dear:
            how = f" ({attempt.how})" if attempt.how else ""
            untried.append(f"{attempt.name}{how}: {asked.over if attempt.out_of_time else attempt.why}")
    passed = [rung for rung in asked.rungs if all(attempt.name != rung for attempt in tried)]
    if passed:
        untried.append(f"{' and '.join(passed)} not tried: {taken} is not shown to cost anything")
    return untried
