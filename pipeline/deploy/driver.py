"""Runs a shipped loader in a process of its own and tells the sums of its outputs over a private descriptor.

Started by path, with Python's ``-I``: it knows nothing of this project.

    driver.py FOLDER DESCRIPTOR PARENT LIMIT THREADS TURN IMAGES N [N ...]

IMAGES: an .npy file, or an .npz file with an array for each input.

For each N one line of JSON: the SHA-256 of the outputs' bytes of all images run N at a time (images left over at the
end run together); with TURN 1, where N is a power of two or the last one, also with the first batch rotated by one
place and its rows put back in order; and the most memory that this process has had.
"""

import ctypes
import hashlib
import json
import os
import resource
import signal
import sys
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main() -> None:
    """Bind this process to its parent and its limits first; then load and run."""
    folder, descriptor, parent, limit, threads, turn, images, *asked = sys.argv[1:]
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before it could be watched
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path.insert(0, folder)  # a folder of the caller's own making, which holds the loader's files and no others

    import infer  # type: ignore[import-not-found]  # in that folder
    import numpy as np

    network = infer.Network(int(threads))
    given = np.load(images, allow_pickle=False)
    if images.endswith(".npz"):
        given = {name: given[name] for name in given.files}
    sizes = [int(n) for n in asked]
    for n in sizes:
        turned = turn == "1" and n > 1 and (n & (n - 1) == 0 or n == sizes[-1])
        plain, rotated = _digests(np, network, given, n, turned)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        row = {"n": n, "plain": plain, "rotated": rotated, "peak_bytes": peak}
        os.write(int(descriptor), json.dumps(row).encode() + b"\n")


def _digests(np: Any, network: Any, images: Any, n: int, turn: bool) -> tuple[str, str | None]:
    plain, rotated = hashlib.sha256(), hashlib.sha256()
    count = len(next(iter(images.values())) if isinstance(images, dict) else images)
    for start in range(0, count, n):
        batch = _each(images, lambda part, at=start: np.ascontiguousarray(part[at : at + n]))
        rows = _rows(np, network.raw(batch))
        plain.update(rows.tobytes())
        if turn and start == 0:
            turned = _rows(np, network.raw(_each(batch, lambda part: np.ascontiguousarray(np.roll(part, 1, axis=0)))))
            rows = np.ascontiguousarray(np.roll(turned, -1, axis=0))
        rotated.update(rows.tobytes())
    return plain.hexdigest(), rotated.hexdigest() if turn else None


def _each(given: Any, change: Any) -> Any:
    """The array changed, or each of several."""
    return {name: change(part) for name, part in given.items()} if isinstance(given, dict) else change(given)


def _rows(np: Any, outputs: Any) -> Any:
    """One row an image: several outputs side by side, in the smallest type that holds the values of all."""
    if not isinstance(outputs, dict):
        return np.ascontiguousarray(outputs)
    parts = [part.astype(np.uint8) if part.dtype == np.bool_ else part for part in outputs.values()]
    return np.ascontiguousarray(np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1))


if __name__ == "__main__":
    main()
