"""What runs inside a worker for a switch: turn it, open the engine, read back, and run the passes of a verdict."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from isobatch.models.registry import load
from isobatch.pipeline.evidence.passes import run_passes
from isobatch.pipeline.evidence.plan import plan_passes
from isobatch.pipeline.processes.wire import Emit, tell_images
from isobatch.pipeline.race.in_worker import contest, opened
from isobatch.pipeline.tools.switches.crossing import Held, SwitchAsked

_TURNED = {"torch": "isobatch.models.pytorch.switches:turned", "onnxruntime": "isobatch.models.ort.session:turned"}


def hold(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Does the property hold under the switch of ``SwitchAsked``? ``Held``, of every image at every N, a rotation and
    an outlier neighbour.
    """
    asked = SwitchAsked.of(payload)
    passes = plan_passes(len(asked.images), asked.batch_sizes, probes=True)
    with ExitStack() as stack:
        read_back = stack.enter_context(_switched(asked))
        runner = opened(asked, stack).shipped
        ran = run_passes(runner, asked.images, passes, tell_images(emit), timed=False)
        read = read_back(runner)
    differing, flipped, sums = Counter[int](), Counter[int](), {}
    _, singles = ran.rows[passes[0].id]
    for planned in passes[1:]:
        index, rows = ran.rows[planned.id]
        alone = singles[np.asarray(planned.images)[index]]
        differing[planned.batch_size] += len(index)
        flipped[planned.batch_size] += int((rows.argmax(axis=1) != alone.argmax(axis=1)).sum()) if len(index) else 0
        sums[planned.id] = hashlib.sha256(index.tobytes() + rows.tobytes()).hexdigest()
    digest = hashlib.sha256(singles.tobytes()).hexdigest()
    return Held(read, digest, sums, differing, flipped, len(passes) - 1).to_json()


def contest_switched(payload: dict[str, Any], emit: Emit) -> None:
    """As ``race.in_worker.contest``, with the switch turned."""
    with _switched(SwitchAsked.of(payload)):
        contest(payload, emit)


@contextmanager
def _switched(asked: SwitchAsked) -> Iterator[Callable[[Any], dict[str, str]]]:
    turned = _TURNED.get(asked.runtime)
    if turned is None:
        threads = str(asked.settings.threads)
        yield lambda runner: {"threads": threads}
    else:
        with load(turned)(asked.options) as read_back:
            yield read_back
