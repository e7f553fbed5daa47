"""One script for each kind of origin that shows its difference alone: data found, reduced, written, and started."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.case import Case, Reproducible, ReproducibleTies, file_name, script
from isobatch.models.spec.runner import Rows
from isobatch.models.spec.templates.common import EXISTS, digest, from_seed
from isobatch.pipeline.evidence.rows import row_count
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.explain.locate import random_rows
from isobatch.pipeline.explain.origins import at_representatives
from isobatch.pipeline.explain.reproducer.reduce import Arrays, reduce_data, shows
from isobatch.pipeline.records.wording import listed
from isobatch.pipeline.storage.files import write_bytes

FOLDER = "reproducers"
MAX_BYTES = 25_000_000
_SEEDS = (1, 2, 3)
_TIMEOUT_S = 120.0
RUNTIMES = ("torch", "onnxruntime")
"""Those whose layers a script can show: the packages that it imports."""
_STARTER = Path(__file__).with_name("start_scripts.py")


@dataclass(frozen=True)
class Reproducer:
    """A script's path within the run's folder, or None and why there is none."""

    path: str | None
    note: str = ""


_Files = tuple[str, ...]
"""What was written for a layer, in the folder of the reproducers: the script, which was not yet started, first."""


class Starter:
    """A process that gets ready to start the scripts of a runtime while these are still sought; it starts and ends with
    its ``with`` block.
    """

    def __init__(self, runtime: str, folder: Path) -> None:
        self._command = [sys.executable, "-I", str(_STARTER), runtime, str(folder)]

    def __enter__(self) -> Starter:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def codes(self, scripts: Sequence[str]) -> dict[str, int]:
        """The exit code of each of these scripts that ended, each in a process of its own. To be called once."""
        try:
            said, _ = self._process.communicate("\n".join(scripts), _TIMEOUT_S * len(scripts))
        except subprocess.TimeoutExpired as late:
            said = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        return {ended["script"]: ended["code"] for ended in map(json.loads, said.splitlines())}


def write_reproducers(
    runner: Watched,
    located: Located,
    images: NDArray[np.float32],
    variant: str,
    run_folder: Path,
    seed: int,
    starter: Starter | None,
) -> dict[str, Reproducer]:
    """A script for one origin of each signature, by the names of all origins of that signature.

    ``images``: those the origins were located on. Each script is started in a process of its own by the ``starter``
    (None for a runner of which no script can be written) before it is listed; one that does not show its difference
    there is removed again. Raises StoreError where nothing can be written.
    """
    folder = run_folder / FOLDER
    drafts: list[_Files | Reproducer] = []

    def draft(finding: LayerFinding, inputs: Rows) -> _Files | Reproducer:
        name = file_name(variant, finding.layer.name)
        if any(isinstance(other, tuple) and other[0] == f"{name}.py" for other in drafts):
            name = f"{name}-{len(drafts) + 1}"
        drafts.append(_draft(runner, finding, inputs, name, folder, seed))
        return drafts[-1]

    written = at_representatives(runner, located, images, draft)
    scripts = [draft[0] for draft in drafts if isinstance(draft, tuple)]
    codes = starter.codes(scripts) if starter and scripts else {}
    return {layer: _shown(draft, folder, codes) for layer, draft in written.items()}


def _draft(
    runner: Watched, finding: LayerFinding, inputs: Rows, name: str, folder: Path, seed: int
) -> _Files | Reproducer:
    try:
        for case, arrays, words in _candidates(runner, finding, inputs, seed):
            return _write(case, arrays, words, finding, name, folder)
    except NotImplementedError as error:
        return Reproducer(None, f"{error}")
    return Reproducer(None, "no data was found that shows the difference in this layer alone")


def _candidates(
    runner: Watched, finding: LayerFinding, inputs: Rows, seed: int
) -> Iterator[tuple[Case, Arrays | dict[str, Any], str]]:
    """Cases that show the difference: with drawn data first (as its recipe), else with data cut as small as it goes."""
    if not isinstance(runner, Reproducible):
        raise NotImplementedError("its runner's layers cannot be taken out")
    name = finding.layer.name
    count = row_count(inputs)
    batch = min((n for n in finding.batch_sizes if n <= count), default=count)
    rows = tuple(part[:batch] for part in inputs)
    case = runner.case(name, rows)
    for number in _SEEDS:
        recipe = {"seed": number, "arrays": {key: _drawing(array) for key, array in case.arrays.items()}}
        if case.template == "ort" and any(array.dtype.kind not in "fiu" for array in case.arrays.values()):
            break
        if shows(case, from_seed(recipe)):
            yield case, recipe, f"drawn from seed {number}, of the sizes that the layer's own data have"
    for own, words in _own_data(runner, case, name, rows, batch, seed):
        if shows(own, dict(own.arrays)):
            arrays, cuts = reduce_data(own)
            yield own, arrays, f"{words}{f', without {listed(cuts)} that it does not need' if cuts else ''}"


def _own_data(
    runner: Reproducible, case: Case, name: str, rows: Rows, batch: int, seed: int
) -> Iterator[tuple[Case, str]]:
    """The case with data that are the layer's own in some way, and in words in which."""
    yield case, "captured from the network"
    spread = random_rows(rows, np.random.Generator(np.random.PCG64(seed)))
    yield runner.case(name, spread), "captured, and spread over a wide range"
    if isinstance(runner, ReproducibleTies) and (tied := runner.provoked_case(name, batch, seed)) is not None:
        yield tied, "chosen to lie on rounding ties"


def _drawing(array: NDArray[Any]) -> dict[str, Any]:
    """How to draw an array like this one: uniform over as wide a range, of one sign where it has one, or constant."""
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind in "iu":
        return {"shape": list(array.shape), "type": array.dtype.name, "low": int(low), "high": int(high)}
    if low != high:
        spread = float(f"{np.sqrt(3 * np.mean(np.square(array, dtype=np.float64))):.2g}")
        low, high = (0.0 if low >= 0 else -spread), (0.0 if high <= 0 else spread)
    return {"shape": list(array.shape), "type": array.dtype.name, "low": low, "high": high}


def _write(
    case: Case, data: dict[str, Any], words: str, finding: LayerFinding, name: str, folder: Path
) -> _Files | Reproducer:
    """Write the script and what lies beside it; a note instead where that would be too large."""
    seeded = "seed" in data
    arrays: Arrays = from_seed(data) if seeded else data
    facts: dict[str, Any] = {
        "title": "one layer gives an image other bytes alone than in a batch",
        "layer": finding.layer.name,
        **case.facts,
        "batch size": len(arrays[case.rows[0]]),
        "rows": list(case.rows),
        "data": {"words": words, "sha256": digest(arrays), **(data if seeded else {"file": f"{name}.npz"})},
    }
    files = {}
    if case.model is not None:
        facts["model"] = f"{name}.onnx"
        files[facts["model"]] = case.model
    if not seeded:
        stored = io.BytesIO()
        np.savez_compressed(stored, **arrays)  # type: ignore[arg-type]  # its keys are ours
        files[f"{name}.npz"] = stored.getvalue()
    size = sum(map(len, files.values()))
    if size > MAX_BYTES:
        return Reproducer(None, f"its data, cut as far as it goes, take {size / 1e6:.0f} MB")
    texts = {f"{name}.py": script(case.template, facts).encode()} | files
    for file, content in texts.items():
        write_bytes(folder / file, [content])
    return tuple(texts)


def _shown(draft: _Files | Reproducer, folder: Path, codes: Mapping[str, int]) -> Reproducer:
    """A script's verdict on itself, from a process that knows nothing of this project but its environment."""
    if isinstance(draft, Reproducer):
        return draft
    code = codes.get(draft[0])
    if code == EXISTS:
        return Reproducer(f"{FOLDER}/{draft[0]}")
    for file in draft:
        (folder / file).unlink(missing_ok=True)
    said = "did not end" if code is None else f"ended with {code}"
    return Reproducer(None, f"the one written {said} when started alone")


def still_there(origin: Mapping[str, Any], run_folder: Path) -> dict[str, Any]:
    """What an interrupted study found out, without the files that were removed from its folder since."""
    gone = {"path": None, "note": "it was removed from the run's folder"}
    listed = origin.get("reproducers")  # None of a network that could not be looked into
    scripts = listed and {
        layer: written if written["path"] is None or (run_folder / written["path"]).is_file() else gone
        for layer, written in listed.items()
    }
    effect = origin.get("neighbour_effect")
    kept = effect if effect and (run_folder / effect["example"]).is_file() else None
    return {**origin, "reproducers": scripts, "neighbour_effect": kept}
