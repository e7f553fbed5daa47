"""Whether sums of two products are clipped at 16 bits in one of the calls, as x86 without VNNI does it.

``vpmaddubsw`` adds two products of an unsigned and a signed byte in 16 bits and saturates (Intel 64 manual, volume 2):
255 * 127 twice is 64770, and becomes 32767.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Accumulators, Integer, IntegerCall
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.explain.causes._epilogues import Terms
from isobatch.pipeline.machine.environment import cpu_flags

_EXACT_STEPS = 0.501  # from the unrounded value: rounding costs half a step
_VNNI = ("avx512_vnni", "avx_vnni")


def applies_to(subject: Subject) -> bool:
    """At an integer layer for which extremes can be made."""
    runner = subject.runner
    if not isinstance(runner, Integer):
        return False
    return runner.crafted(subject.layer.name, subject.batch, subject.seed, "extremes") is not None


def probe(subject: Subject) -> Finding:
    """Run crafted extremes alone and together, and compare both with the exact sums; then with inputs of 127."""
    call = subject.runner.crafted(subject.layer.name, subject.batch, subject.seed, "extremes")
    tame = subject.runner.crafted(subject.layer.name, subject.batch, subject.seed, "tame")
    sides = {"N = 1": call.singles, f"N = {subject.batch}": call.batched}
    clipped = {name: off(call.accumulators, codes) for name, codes in sides.items()}
    size = call.batched.size
    shown = ", ".join(f"{int(mask.sum())} at {name}" for name, mask in clipped.items())
    text = f"Of {size} results of inputs of 255 and weights of 127 and -128, off by more than rounding: {shown}."
    at = [bool(mask.any()) for mask in clipped.values()]
    if tame is not None:
        text += f" With inputs of 127, where no two products leave 16 bits, the two calls differ in {_differing(tame)}."
    if any(flag in cpu_flags() for flag in _VNNI):
        text += " This processor has VNNI, which does not clip; a run under an ISA cap without it was not tried."
    verdict: Literal["supported", "refuted", "inconclusive"]
    if at == [False, False]:
        verdict = "refuted"
    elif all(at):
        same = not _differing(call)
        text += f" Sums are clipped in both calls{', to the same bytes: N does not matter to that' if same else ''}."
        verdict = "refuted" if same else "inconclusive"
    else:
        verdict = "supported" if tame is None or not _differing(tame) else "inconclusive"
    return Finding(verdict, text)


def off(numbers: Accumulators, codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """A mask [n, ...] of the codes that are not the exact value rounded."""
    everywhere = np.ones(codes.shape, np.bool_)
    exact = np.clip(Terms.of(numbers, everywhere).steps, numbers.low, numbers.high)
    return np.asarray(np.abs(exact - codes[everywhere]) > _EXACT_STEPS).reshape(codes.shape)


def _differing(call: IntegerCall) -> int:
    return int((call.singles != call.batched).sum())


CAUSE = Cause(
    role="mechanism",
    order=15,
    question="Do crafted extremes, at this layer's shape, leave the exact int32 sums in one of the two calls only?",
    if_supported=("one call clips sums of two products at 16 bits, the other does not; with tame inputs they agree"),
    if_refuted="for crafted extremes both calls are exact, or both clip alike",
    applies_to=applies_to,
    probe=probe,
)
