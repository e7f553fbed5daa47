"""What every reproducer script holds, whatever the runtime: data, comparison, and what it prints. Needs numpy only."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Run = Callable[[Arrays], list[Any]]

# -- from here on: part of every script --

EXISTS, GONE, ELSEWHERE = 1, 0, 2
FEATURES = ["avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
            "amx_fp16"]  # fmt: skip
CAPS = ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR",
        "FBGEMM_ENABLE_INSTRUCTIONS"]  # fmt: skip


def machine() -> dict[str, str]:
    """The processor features that decide bits, and the environment variables that cap them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    features = " ".join(name for name in FEATURES if name in flags) or platform.machine()
    return {"CPU features": features, **{name: os.environ[name] for name in CAPS if name in os.environ}}


def from_seed(data: dict[str, Any]) -> Arrays:
    """The arrays from their seed: uniform values or integers, the same bytes on every machine."""
    generator = np.random.Generator(np.random.PCG64(data["seed"]))
    arrays = {}
    for name, how in data["arrays"].items():
        low, high, shape, kind = how["low"], how["high"], how["shape"], np.dtype(how["type"])
        if low == high:
            arrays[name] = np.full(shape, low, kind)
        elif kind.kind in "iu":
            arrays[name] = generator.integers(low, high, shape, kind, endpoint=True)
        else:
            values = generator.random(shape, np.float32) * np.float32(high - low) + np.float32(low)
            arrays[name] = values.astype(kind)
    return arrays


def digest(arrays: Arrays) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    hashed = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        hashed.update(f"{name} {array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def load(data: dict[str, Any], folder: Path) -> Arrays:
    """The arrays, drawn or from the file beside the script. Raises ValueError where they are not those recorded."""
    if "file" in data:
        with np.load(folder / data["file"], allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    else:
        arrays = from_seed(data)
    if digest(arrays) != data["sha256"]:
        raise ValueError("the data are not those that the difference was seen on")
    return arrays


def compared(run: Run, arrays: Arrays, rows: list[str]) -> list[tuple[Any, Any]]:
    """Each output of all images in one call, beside that of every image in a call of its own."""
    count = len(arrays[rows[0]])
    singles = [run({**arrays, **{name: arrays[name][i : i + 1] for name in rows}}) for i in range(count)]
    alone = [np.concatenate(parts) for parts in zip(*singles, strict=True)]
    return list(zip(alone, run(arrays), strict=True))


def unequal(left: Any, other: Any) -> Any:
    """A mask of the elements whose bytes differ."""
    kind = f"u{left.dtype.itemsize}"
    return np.ascontiguousarray(left).view(kind) != np.ascontiguousarray(other).view(kind)


def report(pairs: list[tuple[Any, Any]]) -> int:
    """Print how much differs; the number of elements that do."""
    differing = 0
    for number, (alone, together) in enumerate(pairs):
        differs = unequal(alone, together)
        count = int(differs.sum())
        differing += count
        print(f"output {number}: {alone.dtype}{list(alone.shape)}, {count} of {alone.size} elements differ")
        if count:
            distance = np.abs(alone.astype(np.float64) - together.astype(np.float64))
            at = np.unravel_index(int(np.argmax(np.where(differs, distance, -1.0))), alone.shape)
            place = ", ".join(map(str, at))
            print(f"  largest |difference| {distance[at]:.9g}, at [{place}]:")
            print(f"  alone {alone[at]!r}, in the batch {together[at]!r}")
    return differing


def examine(case: dict[str, Any], environment: dict[str, str], start: Callable[[Any, Path], tuple[Run, Arrays]]) -> int:
    """Say what is run where, run it, and say whether the difference is there."""
    parser = argparse.ArgumentParser(
        description="exit 1: the difference exists, 0: it is gone, 2: it cannot be said here"
    )
    parser.add_argument(
        "--any-environment", action="store_true", help="run with other versions or another processor too"
    )
    arguments = parser.parse_args()
    for name in ("title", "layer", "operation", "threads", "batch size", "data"):
        value = case[name]
        print(f"{name}: {value['words'] if name == 'data' else repr(value)}")
    for name in sorted({*case["environment"], *environment}):
        print(f"{name}: {environment.get(name)}")
    print(f"numpy: {np.__version__}")
    other = [f"{n} was {v}" for n, v in sorted(case["environment"].items()) if environment.get(n) != v]
    other += [f"{n} was not set" for n in sorted(environment) if n not in case["environment"]]
    if other and not arguments.any_environment:
        print(f"another environment: {'; '.join(other)}. Nothing was run; --any-environment runs it all the same")
        return ELSEWHERE
    run, arrays = start(case, Path(__file__).resolve().parent)
    for name, array in arrays.items():
        print(f"array {name}: {array.dtype}{list(array.shape)}")
    count = report(compared(run, arrays, case["rows"]))
    again = [unequal(first, other).any() for first, other in zip(run(arrays), run(arrays), strict=True)]
    print(f"the batch run twice more: {'other bytes each time' if any(again) else 'the same bytes'}")
    print("the difference exists" if count else "the difference is gone")
    return EXISTS if count else GONE


def ended(main: Callable[[], int]) -> None:
    """Run it and exit; whatever goes wrong is no evidence either way."""
    try:
        code = main()
    except Exception as error:
        print(f"it could not be run here: {type(error).__name__}: {error}")
        code = ELSEWHERE
    sys.exit(code)
