"""One variant of a network checked, in a worker: its crash or hang is the caller's answer. Called by dotted name."""

import math
import time
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from isobatch import PROGRAM
from isobatch.models.registry import load
from isobatch.models.spec.fit import NotTaken
from isobatch.pipeline.evidence.mixing import mixes
from isobatch.pipeline.explain.findings import why_closed
from isobatch.pipeline.processes.wire import Emit, Told
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.tools.check.asked import CheckRequest, VariantAsked
from isobatch.pipeline.tools.check.examples import ExampleRows, random_examples, read
from isobatch.pipeline.tools.check.opening import Opened, Unverified, opened
from isobatch.pipeline.tools.check.records import VariantChecked
from isobatch.pipeline.user.checks import compared
from isobatch.pipeline.user.origins import mechanism_of, shapes_may_repair, where_it_starts

_MENDED = f"the study mends that where it can be done ({PROGRAM} --onnx FILE)"
_OF_A_FILE = f"it may take another size (--input-shape), or hold its batch inside: {_MENDED}"

_GIVE = "or give examples, --inputs FILE.npy (FILE.npz for several inputs, whole numbers or masks)"
_OF_CODE = f"say what one example is, --input-shape CxHxW, or 7 for rows of 7 numbers, 3x32x32,7 for both; {_GIVE}"


def check(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The record of the variant in ``VariantAsked``, as JSON values of ``VariantChecked``.

    Raises UsageError, VariantUnavailable, Unverified.
    """
    begin, of = time.monotonic(), VariantAsked.of(payload)
    asked, variant = of.asked, of.variant

    def say(text: str) -> None:
        emit(Told(say=f"{variant}: {text}").to_json())

    say("opening")
    network = opened(asked, variant, Path(of.cache), of.folder, say)
    examples = _examples(asked, network)
    scope = [n for n in asked.batch_sizes if n <= len(examples.rows)]
    if not scope:
        raise Unverified(f"there are {examples.source}, and {sizes(asked.batch_sizes)} needs more")
    with network.watched:
        checked = _checked(variant, network, examples, scope, begin + asked.seconds if asked.seconds else math.inf, say)
    left = tuple(sorted({*checked.not_tried, *(n for n in asked.batch_sizes if n not in scope)}))
    return checked.model_copy(update={"not_tried": left}).model_dump(mode="json")


def _examples(asked: CheckRequest, network: Opened) -> ExampleRows:
    """As the network takes them. Raises UsageError."""
    count, axes = max(asked.batch_sizes), dict(asked.batch_axes)
    if asked.inputs:
        examples = read(Path(asked.inputs), count, network.shapes, network.view, network.inputs, axes)
    else:
        examples = random_examples(network.shapes, count, asked.seed, network.inputs)
    try:
        return replace(examples, rows=network.compared.fitted(examples.rows))
    except TypeError as error:
        raise UsageError("check-inputs", str(error)) from error


def _checked(
    variant: str, network: Opened, examples: ExampleRows, scope: list[int], deadline: float, say: Any
) -> VariantChecked:
    rows = examples.rows
    try:
        result = compared(network.compared, rows, scope, sparing=True, deadline=deadline, say=say).result
    except TypeError as error:  # of examples that do not fit, or of outputs without rows
        if isinstance(error, NotTaken) and error.first and error.count == 1:
            remedy = _OF_A_FILE if network.inputs else _remedy_of_code(network, rows.shape[1:])
            raise UsageError("check-inputs", f"{error}" if error.remedy else f"{error}: {remedy}") from error
        fewer = "see whether it takes fewer at once: --batch-sizes "
        at_once = error.count if isinstance(error, NotTaken) else 0
        remedy = f"{fewer}{'2-' * (at_once > 5)}{at_once // 2}" if at_once > 3 else ""
        if at_once == 2:
            mend = _MENDED if network.inputs else "let its code take it from its input (x.flatten(1))"
            remedy = f"it takes one and not two, so it holds its batch inside: {mend}, or export it with a free batch"
        raise Unverified(str(error), remedy) from error
    checked = VariantChecked(
        variant=variant,
        status="measured",
        verdict="unverified" if result.verdict == "invalid" else result.verdict,
        reason=result.reason,
        weights=network.weights,
        inputs=f"{examples.source} of {load('isobatch.models.user_inputs:described')(rows)}",
        n_images=len(rows),
        threads=result.tested.threads,
        sizes=result.batch_sizes,
        probed=result.tested.probed,
        not_tried=result.tested.not_tried,
        classes=result.classes,
        notes=network.notes,
        studied=network.studied,
    )
    if result.verdict != "batch-variant":
        return checked
    smallest = min(size.batch_size for size in result.differing)
    say("the control: other neighbours at the same N")
    mixing = mixes(lambda batch: network.compared.leaves(batch).values(), rows, smallest) is not None
    say("where it starts")
    start = where_it_starts(network.watched, rows, result)
    update: dict[str, Any] = {
        "closed": why_closed(network.watched, variant) or ("" if start or not start.failed else start.why),
        "mixes": mixing,
        "mechanism": mechanism_of(mixing, start) or None,
        "repairable": shapes_may_repair(mixing, start),
        "recurrent_axes": network.recurrent_axes if mixing else "",
    }
    if start:
        update |= {"first": start.first, "largest": start.largest, "origins": start.count}
    return checked.model_copy(update=update)


def _remedy_of_code(network: Opened, shape: tuple[int, ...]) -> str:
    """What to do where the user's module does not take examples of this shape."""
    net = network.watched.net
    channels = load("isobatch.models.user_factory:channels_of")(net)
    if len(shape) != 3 or channels in (None, shape[0]):
        return f"it takes ({', '.join(signature(net.forward).parameters)}): {_OF_CODE}"
    return f"its first convolution takes {counted(channels, 'channel')}: --input-shape {channels}x{shape[1]}x{shape[2]}"
