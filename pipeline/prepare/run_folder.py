"""Runs on disk: a folder each, resumed while unfinished, never reused when finished, never shared by two studies."""

import contextlib
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from isobatch.models.shared.regular_files import AT_ONCE, locked
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.storage import places
from isobatch.pipeline.storage.files import StoreError, read_json, sweep, unfinished, write_json

_STATE, _LOCK = "run.json", ".lock"
_KIND = "isobatch-run"
_FORM = {
    "kind": re.compile(_KIND),
    "state": re.compile("running|finished"),
    "configuration": re.compile("[0-9a-f]{8}"),
    "created_utc": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
}
"""The fields by which a run.json of this program is known."""
_MOST_BYTES = 1 << 20


@dataclass
class Run:
    """One run's folder, locked to this process."""

    folder: Path
    digest: str
    created_utc: str
    resumed: bool  # an unfinished run of the same configuration goes on
    _lock: IO[bytes]
    _first: bool = False  # no run was in the folder before
    _made: bool = False  # nor was there a folder
    _before_s: float = 0.0  # that earlier starts of it took
    _opened: float = field(default_factory=lambda: time.monotonic())
    _running: bool = False  # marked so in the folder by this start, or the one that goes on

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def spent_s(self) -> float:
        """Seconds that this run has taken, in all its starts."""
        return self._before_s + time.monotonic() - self._opened

    def evidence_file(self, variant: str, name: str) -> Path:
        """Where the evidence of a job is kept."""
        return self.folder / "evidence" / variant / name

    def start(self) -> None:
        """Mark a new run as begun. With --fresh, what an older run left here is removed now and not before.

        In every case, half-written files of a study that was killed here are removed.
        """
        sweep(self.folder)
        if self.resumed:
            return
        for name in ("report.json", "report.html", "report.md"):
            (self.folder / name).unlink(missing_ok=True)
        for name in ("evidence", "reproducers"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._running = True
        self.keep_time()

    def keep_time(self) -> None:
        """Write how long the unfinished run has taken, for a start that goes on with it."""
        if self._running:
            self._write("running", {"spent_s": round(self.spent_s, 3)})

    def finish(self, **facts: Any) -> None:
        """Mark the run finished and, in the usual place, point ``latest`` to it."""
        self._running = False
        self._write("finished", facts)
        if self.folder.parent == places.OUT.resolve():
            link = places.OUT / "latest"
            temporary = places.OUT / f".latest-{os.getpid()}"
            with contextlib.suppress(OSError):  # a convenience: no reason to fail a finished study
                temporary.symlink_to(self.folder.name)
                temporary.replace(link)
        self.close()

    def discard(self) -> None:
        """Remove what a run in which nothing was measured wrote, if no run was there before; a folder of the user's
        stays.
        """
        self._running = False
        if not self._first or (self.folder / "evidence").exists():
            return
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        with contextlib.suppress(OSError):  # what stays of it is no obstacle to the next start
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        """Give up the lock; an unfinished run can then be resumed."""
        with contextlib.suppress(OSError):  # its evidence counts, and is there
            self.keep_time()
        self._running = False
        self._lock.close()

    def _write(self, state: str, facts: dict[str, Any]) -> None:
        write_json(
            self.folder / _STATE,
            {"kind": _KIND, "state": state, "configuration": self.digest, "created_utc": self.created_utc, **facts},
        )


def open_run(config: Config) -> Run:
    """The run's folder: the newest unfinished one of this configuration, or a new one.

    Raises UsageError when the folder cannot be used: not writable, another run's, or in use by another study.
    """
    try:
        if config.out is not None:
            return _open_named(Path(config.out).resolve(), config)
        if not config.fresh:
            for folder in sorted(places.OUT.resolve().glob(f"*-{config.digest}"), reverse=True):
                if _state(folder).get("state") == "running" and (run := _going_on(folder, config.digest)):
                    return run
        return _open_new(config.digest)
    except StoreError as error:
        raise UsageError("out-unusable", str(error)) from error
    except OSError as error:
        text = f"cannot write to {config.out or places.OUT}: {error.strerror}. Choose another place with --out"
        raise UsageError("out-unusable", text) from error


def _open_new(digest: str) -> Run:
    begin, again = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), ""
    while True:
        folder = places.OUT.resolve() / f"{begin}{again}-{digest}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            again = str(int(again or 1) + 1)
        else:
            return _create(folder, digest, made=True)


def _open_named(folder: Path, config: Config) -> Run:
    state = _state(folder)
    if state.get("state") == "finished" and not config.fresh:
        raise UsageError(
            "out-finished",
            f"{folder} holds a finished run, which is never reused: choose another --out, or add --fresh",
        )
    if state.get("state") == "running" and state.get("configuration") == config.digest and not config.fresh:
        if run := _going_on(folder, config.digest):
            return run
        raise UsageError("out-in-use", f"{folder} is in use by another study: wait for it or choose another --out")
    # what a start killed at once leaves behind; any other hidden file is the user's: discarding would take it along
    holds = folder.is_dir() and any(path.name != _LOCK and not unfinished(path.name) for path in folder.iterdir())
    if not state and folder.exists() and (not folder.is_dir() or holds):
        raise UsageError("out-not-empty", f"{folder} exists and is not a run's folder: choose another --out")
    if state and not config.fresh:
        raise UsageError(
            "out-other-run",
            f"{folder} holds an unfinished run of another configuration: choose another --out, or --fresh",
        )
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    return _create(folder, config.digest, made)


def _state(folder: Path) -> dict[str, Any]:
    """What a run's folder says of itself; nothing where it is none: another program may call its file ``run.json``."""
    try:
        state = read_json(folder / _STATE, _MOST_BYTES)
    except StoreError:
        return {}
    said = all(isinstance(state.get(name), str) and form.fullmatch(state[name]) for name, form in _FORM.items())
    return state if said else {}


def _going_on(folder: Path, digest: str) -> Run | None:
    """The unfinished run in the folder; None where another study has it, or had it and has just finished it."""
    run = _claim(folder, digest)
    if run is None:
        return None
    state = _state(folder)
    if state.get("state") != "running":
        run.close()
        return None
    spent_s = state.get("spent_s")
    run._before_s = spent_s if isinstance(spent_s, float) and 0 < spent_s < float("inf") else 0.0
    run._running = True
    return run


def _claim(folder: Path, digest: str) -> Run | None:
    try:
        lock = os.fdopen(locked(folder / _LOCK, AT_ONCE), "rb")  # held until the run is closed
    except BlockingIOError:
        return None
    return Run(folder, digest, str(_state(folder).get("created_utc", "")), True, lock)


def _create(folder: Path, digest: str, made: bool) -> Run:
    run = _claim(folder, digest)
    if run is None:
        raise UsageError("out-in-use", f"{folder} is in use by another study: wait for it or choose another --out")
    run.resumed, run._first, run._made = False, not _state(folder), made
    run.created_utc = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if run._first:
        run.start()
    return run
