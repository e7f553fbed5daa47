"""Every write, flush, rename and open of the one writer fails in turn: older files stand, and the end is clear."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.evidence.stored import read_evidence, write_evidence
from isobatch.pipeline.storage.files import StoreError, read_json, write_bytes, write_json
from tests.fakes import faithful, run, table
from tests.faulty.studies import GRID, STUDY, findings, make_home, report, served, start, study

CALLS = ("open", "write", "fsync", "rename")
ERRORS = (errno.ENOSPC, errno.EIO)
CHUNKS = ([b"one", b"two", b"three"], [b"four", b"five", b"six"])


@contextmanager
def failing(call: str, number: int, code: int) -> Iterator[list[int]]:
    """Let the ``number``-th call of that kind fail. The list holds how many there were."""
    count = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **named)

        return wrapper

    def wrapped_file(descriptor: int, mode: str) -> Any:
        file = real_fdopen(descriptor, mode)
        proxy = Proxy(file)
        proxy.write = counted(file.write)  # type: ignore[method-assign]
        return proxy

    real_open, real_fdopen = os.open, os.fdopen
    with pytest.MonkeyPatch.context() as patch:
        if call == "open":
            new = counted(os.open)
            patch.setattr(os, "open", lambda *how: new(*how) if how[1] & os.O_CREAT else real_open(*how))
        elif call == "write":
            patch.setattr(os, "fdopen", wrapped_file)
        else:
            name = {"fsync": "fsync", "rename": "replace"}[call]
            patch.setattr(os, name, counted(getattr(os, name)))
        yield count


class Proxy:
    """A file whose ``write`` can be replaced."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        return int(self._file.write(data))

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def writers(folder: Path) -> dict[str, tuple[Callable[[int], object], Callable[[], object]]]:
    """(write that version, read back) of each kind of file."""
    versions = [run(faithful(table(seed=seed))) for seed in (0, 1)]
    return {
        "bytes": (lambda v: write_bytes(folder / "bytes", CHUNKS[v]), lambda: (folder / "bytes").read_bytes()),
        "json": (lambda v: write_json(folder / "json", {"a": [1, 2, v]}), lambda: read_json(folder / "json")),
        "evidence": (
            lambda v: write_evidence(folder / "evidence", versions[v]),
            lambda: read_evidence(folder / "evidence").singles.tobytes(),
        ),
    }


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["bytes", "json", "evidence"])
def test_whatever_fails_a_whole_file_stands(tmp_path: Path, kind: str, call: str, code: int) -> None:
    write, read = writers(tmp_path)[kind]
    write(0)
    old, failures = read(), 0
    for number in itertools.count(1):
        with failing(call, number, code):
            try:
                write(1)
            except StoreError as error:
                failures += 1
                assert os.strerror(code) in str(error)
                assert str(tmp_path / kind) in str(error)
            else:
                break  # there is no call of that number
        after_rename = call == "fsync" and number == 2  # of the folder: the new file is there, whole
        assert (read() == old) is not after_rename
        assert [path.name for path in tmp_path.iterdir()] == [kind]
        write(0)
    assert failures >= 1
    assert read() != old


def stopped(home: Path, call: str, number: int, code: str, expected: dict[str, Any], warm: bool = False) -> bool:
    """A study in which that call of each process fails, then the same command again. False: there is no such call."""
    out = f"{call}-{number}-{code}"
    own, told = home / f"tmp-{out}", home / f"told-{out}"
    own.mkdir()
    env = {"FAULTY_DISK": f"{call}#{number}#{code}", "FAULTY_DISK_TOLD": str(told), "TMPDIR": str(own)}
    argv = (*STUDY, *GRID, "--variants", "faulty-healthy,ort-fp32", "--out", out)
    ended = start(home, *argv, env=env).end(alone=False)
    if not told.exists():
        assert ended.code == 0, (out, ended)
        return False
    if ended.code == 0:  # what it can do without, such as keeping a drawing for later
        assert findings(report(home / out)) == expected, out
        assert list(own.iterdir()) == [], out
        return True
    assert ended.code in (2, 3, 4), (out, ended)
    if ended.code != 3:  # a variant whose own worker could not build fails alone
        assert ended.stderr.splitlines()[-1].startswith("error ["), (out, ended.stderr)
    state = home / out / "run.json"
    if ended.code == 4 and state.is_file() and read_json(state)["state"] == "finished":
        assert call == "fsync" and findings(report(home / out)) == expected, out
        return True  # the last call of all: its folder's, when everything was there
    argv += ("--fresh",) * (ended.code == 3)
    again = served(home, *argv) if warm else start(home, *argv, env={"TMPDIR": str(own)}).end(alone=False)
    assert again.code == 0, (out, again.stderr)
    assert findings(report(home / out)) == expected, out
    assert list(own.iterdir()) == [], out
    return True


def last_call(home: Path, call: str, code: str, expected: dict[str, Any]) -> int:
    """Fail one call after the other, until no process of the study has so many."""
    return next(number - 1 for number in itertools.count(1) if not stopped(home, call, number, code, expected))


def test_a_study_whose_disk_fails_at_any_call_goes_on_where_it_stopped(
    tmp_path_factory: pytest.TempPathFactory, full: bool, part: Callable[[int], range], tell: Callable[[str], None]
) -> None:
    """One whole study after the other, each with one failing call in every process; then the same command again."""
    home = make_home(tmp_path_factory.mktemp("writer"))
    assert study(home, "healthy ort-fp32", "--out", "whole").code == 0
    expected = findings(report(home / "whole"))
    if not full:
        assert stopped(home, "replace", 2, "EIO", expected, warm=True)
        return
    kinds = [(call, code) for call in ("mkstemp", "fsync", "replace") for code in ("ENOSPC", "EIO")]
    chosen = [kinds[at] for at in part(len(kinds))]
    with ThreadPoolExecutor(2) as pool:
        for kind, last in zip(chosen, pool.map(lambda kind: last_call(home, *kind, expected), chosen), strict=True):
            tell(f"one writer: {' '.join(kind)}: each of {last} calls failed in turn, and the next start went on")
            assert last >= 3
