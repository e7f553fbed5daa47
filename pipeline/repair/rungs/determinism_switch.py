"""A documented determinism switch of the library that has the property: turned, and nothing else is changed."""

from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any

import numpy as np

from isobatch.models.spec.change import Change
from isobatch.models.spec.repairable import Switchable
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.evidence.evidence import differing_rows
from isobatch.pipeline.machine.switches import Switch, switches_of
from isobatch.pipeline.records.wording import counted, listed
from isobatch.pipeline.repair.rungs import Bench, Candidate, DoesNotHold, Rung, needs


def apply(bench: Bench) -> Iterator[Candidate]:
    """Each switch with which the first image has the bytes in the batch that it has alone. Raises DoesNotHold."""
    every = [switch for switch in switches_of(bench.runner.switches_of) if switch.options]
    held = [switch for switch in every if _promises(bench, switch)]
    if not held:
        names = listed([switch.name for switch in every])
        raise DoesNotHold(
            f"with none of these turned has the first image in a batch of {counted(len(bench.images), 'image')} the "
            f"bytes that it has alone: {names}"
        )
    for switch in held:
        yield Candidate(_turned(switch), switch.name, change=Change(switches=switch.options))


def _promises(bench: Bench, switch: Switch) -> bool:
    with _turned(switch)(bench.runner) as runner:
        alone, batched = runner.run(bench.images[:1]), runner.run(np.ascontiguousarray(bench.images))
    return not len(differing_rows(alone, batched[:1]))


def _turned(switch: Switch) -> Callable[[Any], Runner]:
    return methodcaller("with_switches", dict(switch.options))


RUNG = Rung(
    order=17,
    question="Is the network batch-invariant with a documented determinism switch turned?",
    applies_to=needs(Switchable, "no switch of its library acts while it is open"),
    apply=apply,
)
