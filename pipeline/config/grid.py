"""The grid of conditions: presets, the user's own in TOML, and explicit flags, which replace an axis each."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from isobatch.models.spec.nearest import did_you_mean
from isobatch.pipeline.config.sources import read_toml
from isobatch.pipeline.machine.environment import available_cores
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import NEIGHBOURS

MEMORY_FORMATS = ("contiguous", "channels_last")

OWN_SIZE = "auto"
"""In place of an image size: that of the weights."""

AXES = ("batch_sizes", "threads", "isa", "memory_format", "image_size", "position", "neighbours")

CUDA_AXES: dict[str, tuple[str, ...]] = {
    "tf32": ("off", "on", "default"),
    "cudnn_benchmark": ("off", "on"),
    "deterministic": ("off", "on"),
    "cublas_workspace": ("default", ":4096:8", ":16:8"),
    "cuda_graphs": ("off", "on"),
}
"""The axes that only a CUDA device has (see ``CudaOptions``), with their values: the first is the default grid's."""

_WIDE_CUDA = {"tf32": "off,on", "deterministic": "off,on", "cublas_workspace": "default,:4096:8"}

Axes = dict[str, str]
"""By axis: its values as the flag of that name takes them."""


BATCH_SIZES = "2,3,4,8,16"
"""Of the default grid."""


def _default() -> Axes:
    return {
        "batch_sizes": BATCH_SIZES,
        "threads": str(available_cores()),
        "isa": "native",
        "memory_format": "contiguous",
        "image_size": OWN_SIZE,
        "position": "1",
        "neighbours": "outlier",
    }


def _wide() -> Axes:
    cores = available_cores()
    return {
        "batch_sizes": "2-8,12,16,32",
        "threads": ",".join(str(n) for n in sorted({1, min(2, cores), cores})),
        "isa": "native,avx2,avx512",
        "memory_format": ",".join(MEMORY_FORMATS),
        "image_size": f"{OWN_SIZE},192",
        "position": "1,2,3",
        "neighbours": ",".join(NEIGHBOURS),
    }


PRESETS = {"default": _default, "wide": _wide}


def read_grid(name: str, explicit: Mapping[str, str | None], device: str = "cpu") -> Axes:
    """Every axis of the grid called ``name``: a preset, or a TOML file that changes axes of the default.

    Those of ``CUDA_AXES`` are among them on that device only. Raises UsageError: no such grid, not TOML, an unknown
    axis or one of another device, a value that is no number or word.
    """
    own = {axis: values[0] for axis, values in CUDA_AXES.items()} if device == "cuda" else {}
    if name in PRESETS:
        axes = PRESETS[name]() | own | (_WIDE_CUDA if own and name == "wide" else {})
    elif name.endswith(".toml"):
        axes = _default() | own | _read_toml(Path(name))
        if strange := [axis for axis in axes if axis in CUDA_AXES and axis not in own]:
            raise UsageError(
                "bad-grid", f"--grid {name}: {strange[0]} is an axis of --device cuda only: add that, or leave it out"
            )
    else:
        raise UsageError("unknown-grid", f"--grid {name!r}: there are {', '.join(PRESETS)}, and files ending in .toml")
    return axes | {axis: text for axis, text in explicit.items() if text is not None}


def _read_toml(path: Path) -> Axes:
    stored, axes = read_toml(path, "bad-grid"), {}
    for key, value in stored.items():
        axis = key.replace("-", "_")
        known = (*AXES, *CUDA_AXES)
        if axis not in known:
            raise UsageError(
                "bad-grid", f"--grid {path}: no axis {key!r}: {did_you_mean(axis, known)} All: {', '.join(known)}"
            )
        if axis in axes:
            raise UsageError("bad-grid", f"--grid {path} has {axis} twice, with '-' and with '_': keep one of them")
        values = value if isinstance(value, list) else [value]
        if not values or not all(type(entry) in (int, str) for entry in values):
            raise UsageError(
                "bad-grid", f"--grid {path}: {key} must be a number, a word or a list of them, such as {key} = [1, 2]"
            )
        axes[axis] = ",".join(map(str, values))
    return axes


def words(flag: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The words of a list, each once, in order. Raises UsageError with the nearest known one."""
    allowed = list(known)
    parts = [word.strip() for word in text.split(",") if word.strip()]
    for word in parts or [""]:
        if word not in allowed:
            raise UsageError(
                "bad-word", f"{flag} {word!r}: {did_you_mean(word, allowed)} There are {', '.join(allowed)}"
            )
    return tuple(dict.fromkeys(parts))
