"""Running a deployment's files in a fresh process that knows nothing of this project, bound in time and memory.

The files are copied into a folder of our own first: what was checked is what runs, and nothing else lies beside it.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from isobatch.models.shared.scratch import Scratch
from isobatch.models.spec.deployed import code_files
from isobatch.pipeline.deploy.record import SETTINGS_FILE, SHA, Serving
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.machine.memory import UNTRUSTED_BYTES
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.records.study import Record
from isobatch.pipeline.storage.files import write_bytes

TIMEOUT_S = 600.0
_DRIVER = Path(__file__).with_name("driver.py")
_LONGEST_ROW = 1000
_CHUNK = 1 << 20
_INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"


def images_file(images: Path) -> str:
    """What a file of images is called beside the files that run."""
    return f"images{images.suffix}"


class ServeError(Exception):
    """The files could not be loaded or run."""


class Served(Record):
    """What a fresh process made of all images at one N: SHA-256 of the outputs, plain and with a batch rotated."""

    n: int
    plain: str = Field(pattern=SHA)
    rotated: str | None = Field(pattern=SHA)  # None at N that are neither a power of two nor the largest: not run
    peak_bytes: int

    @property
    def sums(self) -> tuple[str, ...]:
        """All that were made."""
        return (self.plain,) if self.rotated is None else (self.plain, self.rotated)


@dataclass(frozen=True)
class Files:
    """What runs: ``model`` by name, and the code beside it (None: our own templates)."""

    serving: Serving
    model: Mapping[str, Path]
    code: Mapping[str, bytes] | None = None
    digests: Mapping[Path, str] | None = None  # of the model's files and the images, which are copied only if as these

    def copied(self, folder: Path, images: Path) -> None:
        """Put everything into the folder. Raises ServeError where a file is no longer what it was."""
        code = self.code or code_files(self.serving.runtime)
        for name, data in {**code, SETTINGS_FILE: self.serving.text()}.items():
            write_bytes(folder / name, [data])
        for name, source in {**self.model, images_file(images): images}.items():
            digest = write_bytes(folder / name, _chunks(source))
            if self.digests is not None and self.digests[source] != digest:
                raise ServeError(f"{source.name} was changed while it was read")

    @property
    def size_bytes(self) -> int:
        """Of the model."""
        return sum(path.stat().st_size for path in self.model.values())


def run_served(
    files: Files,
    images: Path,
    threads: int,
    batch_sizes: Iterable[int],
    *,
    turn: bool = True,
    timeout_s: float = TIMEOUT_S,
) -> dict[int, Served]:
    """By N the outputs' sums of the images of an .npy or .npz file, from a fresh process.

    N = 1 is always among them, and the first. The process has a group of its own, which ends with this call, dies with
    this thread, may use no more memory than untrusted files are given, and may be silent for ``timeout_s``. Raises
    ServeError with its last line.
    """
    order = sorted({1, *batch_sizes})
    with Scratch() as scratch, open(scratch.path / "said", "w+") as said:
        folder = scratch.path / "files"
        files.copied(folder, images)
        limit = UNTRUSTED_BYTES + 8 * files.size_bytes + 8 * images.stat().st_size
        listening, telling = os.pipe()
        facts = [folder, telling, os.getpid(), limit, threads, int(turn), folder / images_file(images), *order]
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-W", "ignore", str(_DRIVER), *map(str, facts)],
                cwd=folder,
                # what is compiled there goes with the scratch folder, too
                env={**os.environ, **worker_settings(threads), _INDUCTOR: str(scratch.path / "inductor")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=(telling,),
                start_new_session=True,
            )
        finally:
            os.close(telling)
        try:
            served = _heard(listening, order, timeout_s)
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServeError("it did not end after its last answer") from None
        finally:
            os.close(listening)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its threads and whatever it started
            process.wait()
        said.seek(0)
        lines = said.read(1 << 20).strip().splitlines()
    if process.returncode or len(served) != len(order):
        last = lines[-1][:300] if lines else f"it ended with {process.returncode}"
        raise ServeError(f"a fresh process could not run it: {last}")
    return served


def _heard(listening: int, order: Sequence[int], timeout_s: float) -> dict[int, Served]:
    served: dict[int, Served] = {}
    for line in _lines(listening, timeout_s):
        try:
            row = Served.model_validate_json(line)
        except ValidationError as error:
            raise ServeError("a fresh process answered what is no answer") from error
        if len(served) == len(order) or row.n != order[len(served)]:
            raise ServeError(f"a fresh process answered for N = {row.n}, which was not asked")
        served[row.n] = row
    return served


def _lines(listening: int, timeout_s: float) -> Iterator[bytes]:
    waiting, deadline = b"", time.monotonic() + timeout_s
    while True:
        while not select.select([listening], [], [], stopping.LOOK_S)[0]:
            stopping.look()
            if time.monotonic() > deadline:
                raise ServeError(f"a fresh process was silent for {timeout_s:g} s and was ended")
        more = os.read(listening, _LONGEST_ROW)
        if not more:
            return
        *lines, waiting = (waiting + more).split(b"\n")
        if len(waiting) > _LONGEST_ROW:
            raise ServeError("a fresh process answered what is no answer")
        for line in lines:
            deadline = time.monotonic() + timeout_s
            yield line


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def differing_sizes(served: Mapping[int, Served]) -> list[int]:
    """The N whose outputs, plain or rotated, are not those of the images alone."""
    singles = served[1].plain
    return [n for n, answer in served.items() if {*answer.sums} != {singles}]
