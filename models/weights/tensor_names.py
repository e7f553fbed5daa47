"""From the names that a training program gave its tensors to those of the architecture."""

import re
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from isobatch.models.weights.state_dicts import State, WeightsError, some

_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_USUAL = ("module.", "model.", "_orig_mod.", "backbone.", "net.", "network.")
_OF_TRAINING = ("criterion.", "loss.", "loss_fn.", "loss_func.", "criterion_")
_OLDER = (
    # torchvision.models.densenet._load_state_dict: module names may hold no dots any more
    (re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))"), r"\1\2"),
    # torchvision.models.vision_transformer.MLPBlock._load_from_state_dict: pytorch/vision#6053
    (re.compile(r"(.*\.mlp)\.linear_1\.(weight|bias)"), r"\1.0.\2"),
    (re.compile(r"(.*\.mlp)\.linear_2\.(weight|bias)"), r"\1.3.\2"),
)


class Named(NamedTuple):
    """The tensors under the architecture's names."""

    state: State
    notes: tuple[str, ...]  # what was done
    left_out: tuple[str, ...]  # names that were not used
    others: tuple[str, ...]  # prefixes behind which the same names stand once more


def as_named(state: State, expected: Collection[str], asked_prefix: str = "") -> Named:
    """The tensors of ``state`` by the names that the architecture has: ``expected``.

    One common prefix is taken off, and what a compiler or a wrapper put between; what training alone needs and what
    stands outside the prefix is left out; older names of torchvision become today's. Names that still do not fit stay.
    Raises WeightsError where the asked prefix leads to none of the expected names.
    """
    prefixes = _prefixes(state, expected)
    likely = prefixes[0] if prefixes else _usual_prefix(state)
    prefix = _behind(prefixes, asked_prefix) if asked_prefix else likely
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    left_out = [name for name in state if not name.startswith(prefix)]
    if not any(name.startswith(_OF_TRAINING) for name in expected):
        left_out += [name for name in inside if name.startswith(_OF_TRAINING)]
    kept = {name: tensor for name, tensor in inside.items() if name not in left_out}
    todays = {_today(name, expected): tensor for name, tensor in kept.items()}
    if len(todays) < len(kept):  # an old name and a new one for the same: the names are told as they are
        todays = kept
    older = sum(_bare(name) not in todays for name in kept)
    notes = [f"the prefix {prefix!r} of its names is left off"] * bool(prefix)
    notes += [f"{older} tensors have older names of torchvision and are renamed as it does"] * bool(older)
    return Named(todays, tuple(notes), tuple(left_out), tuple(other for other in prefixes if other != prefix))


def _bare(name: str) -> str:
    """Without the names of wrappers inside."""
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _today(name: str, expected: Collection[str]) -> str:
    """The name that the architecture has for this tensor, where it has one; else the bare name."""
    bare = _bare(name)
    renamed = (pattern.sub(new, bare) for pattern, new in _OLDER if pattern.fullmatch(bare))
    return bare if bare in expected else next((new for new in renamed if new in expected), bare)


def _prefixes(state: State, expected: Collection[str]) -> list[str]:
    """The prefixes behind which most of the expected names stand: the likely one first, an average's last."""
    counts: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for cut in range(len(parts)):
            rest = ".".join(parts[cut:])
            if not rest.startswith(_WRAPPERS) and _today(rest, expected) in expected:
                counts[name.removesuffix(rest)] += 1
    most = max(counts.values(), default=0)
    if most * 2 < len(expected):  # chance: another network's names
        return []
    equal = [prefix for prefix, count in counts.items() if count == most]
    return sorted(equal, key=lambda prefix: ("ema" in prefix or "teacher" in prefix, len(prefix)))


def _behind(prefixes: list[str], asked: str) -> str:
    fitting = [prefix for prefix in prefixes if prefix.startswith(asked)]
    if not fitting:
        held = some(repr(prefix.rstrip(".")) for prefix in prefixes if prefix) or "none"
        raise WeightsError(
            f"behind --state-dict {asked.rstrip('.')!r} are not the names of this --model; they stand behind: {held}"
        )
    return fitting[0]


def _usual_prefix(state: State) -> str:
    """What every name begins with, as far as wrappers are usually called: so that a mismatch is told in plain names."""
    prefix = ""
    if not state:  # of no tensors every name begins with anything
        return prefix
    while longer := next((usual for usual in _USUAL if all(name.startswith(prefix + usual) for name in state)), ""):
        prefix += longer
    return prefix
