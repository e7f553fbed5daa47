"""The one command, or line of Python, that comes after a check."""

import shlex
from collections.abc import Sequence

from isobatch import PROGRAM
from isobatch.models.registry import find_variant
from isobatch.models.weights.model_name import own_code
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.wording import runs
from isobatch.pipeline.tools.check.asked import CheckRequest
from isobatch.pipeline.tools.check.records import VariantChecked

_RECURRENT = {"lstm", "gru", "rnn"}


def next_step(asked: CheckRequest, checked: Sequence[VariantChecked], code: Exit) -> str:
    """Repair what differs, correct what cannot be repaired, or study what holds."""
    if code == Exit.PARTIAL:
        return next((v.remedy for v in checked if v.remedy), "correct what is named above, then check again")
    if code == Exit.DONE:
        return _study(asked, all(v.studied for v in checked))
    broken = next(variant for variant in checked if variant.exit_code == Exit.NOT_MET)
    if broken.verdict == "not-repeatable":
        return "make it repeatable first (.eval(), fixed seeds, no state between calls), then check again"
    if broken.repairable is False:
        return f"{_apart(broken)}; then check again"
    tried = [n for n in asked.batch_sizes if n <= broken.n_images]
    scope = ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs(tried))
    flags = _flags(asked)
    if flags is None and find_variant(broken.variant).compiled:
        flags = f"--model {asked.target.name}{_size(asked)}"
    if flags is None or not _shippable(asked, broken.variant):
        return f"in Python: isobatch.make_batch_invariant(network, inputs, range(2, {max(tried) + 1}))"
    return f"{PROGRAM} repair {flags} --variant {broken.variant} --batch-sizes {scope} --threads {asked.threads}"


def _apart(mixing: VariantChecked) -> str:
    """How the rows of a network that mixes its examples come to be each its own."""
    if mixing.largest is None or mixing.largest.kind not in _RECURRENT:
        return "let each row come from its own example alone (norms, means, scales)"
    axes = mixing.recurrent_axes
    another = f", or say that the batch is the axis behind that: --batch-axis {axes}" if axes else ""
    turn = "turn what it is given (batch_first=True in torch)"
    return f"{mixing.largest.layer} reads the batch's axis as time: {turn}{another}"


def _shippable(asked: CheckRequest, variant: str) -> bool:
    """Whether what ``repair`` makes of it can be written to a file: not where it runs code beside torchvision's."""
    return find_variant(variant).runtime != "torch" or own_code(asked.target.model) is None


def _study(asked: CheckRequest, studied: bool) -> str:
    flags = _flags(asked)
    if flags is None:
        pictures = studied and all(len(shape) == 3 for shape in asked.shapes) and len(asked.shapes) < 2
        study = f"; where it takes pictures, {PROGRAM} --model {asked.target.name} --variants all" * pictures
        return f"in your tests: isobatch.assert_batch_invariant(network, inputs){study}"
    return f"{PROGRAM} {flags} --variants all, to see which precision to deploy"


def _flags(asked: CheckRequest) -> str | None:
    target = asked.target
    if target.kind == "factory":
        return None
    given = f" --inputs {shlex.quote(asked.inputs)}" if asked.inputs else ""
    if target.kind == "onnx":
        axes = ",".join(f"{name}={axis}" for name, axis in asked.batch_axes)
        turned = f" --batch-axis {shlex.quote(axes)}" if axes else ""
        return f"--onnx {shlex.quote(target.name)}{turned}{given}"
    given = given or _size(asked)
    weights = "" if target.weights == "auto" else f" --weights {shlex.quote(target.weights)}"
    chosen = f" --state-dict {shlex.quote(asked.state_dict)}" if asked.state_dict else ""
    return f"--model {target.model}{weights}{chosen}{given}"


def _size(asked: CheckRequest) -> str:
    """The flag for the size of drawn pictures; "" where they are none, or the network says it."""
    if asked.inputs or len(asked.shapes) != 1 or len(asked.shapes[0]) != 3:
        return ""
    _, height, width = asked.shapes[0]
    return f" --image-size {height}" if height == width else f" --image-size {height}x{width}"
