"""The claims of a verification record, run again here. Nothing of the folder runs that is not what Isobatch writes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobatch.models.shared.regular_files import file_sha256
from isobatch.models.spec.deployed import code_files
from isobatch.pipeline.deploy.record import SETTINGS_FILE, VerificationRecord, read_record
from isobatch.pipeline.deploy.serve import TIMEOUT_S, Files, Served, ServeError, differing_sizes, run_served
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Record
from isobatch.pipeline.records.wording import counted, sizes

_MOST_CODE = 1 << 20  # bytes of a code file


class Claim(Record):
    """One claim of a record, whether it holds here, and what came out."""

    claim: str
    holds: bool
    outcome: str
    ran: bool = True  # files of the folder were run


@dataclass(frozen=True)
class Checking:
    """How to check."""

    trust: bool = False  # run what the folder brings, code too, even where it is not what the record names
    timeout_s: float = TIMEOUT_S
    say: Callable[[str], None] = lambda text: None


def check(path: Path, how: Checking) -> Iterator[Claim]:
    """Every claim of a folder's record, or of a record.json. Raises UsageError as ``read_record``.

    Where a file is not what it should be the rest is not run, unless it is trusted.
    """
    record, folder = read_record(path), path if path.is_dir() else path.parent
    model: dict[str, Path] = {file.file: folder / file.file for file in record.files}
    if how.trust:
        files = Files(record.serving, model, code=_code_beside(record, folder))
        how.say("--trust: the files of the folder run as they are, with your rights")
    else:
        files = Files(record.serving, model, digests=_digests(record, folder))
        known = [*_file_claims(record, folder)]
        yield from known
        if not holding(known):
            return
    for inputs in record.inputs:
        for threads in record.threads:
            expected = record.of(inputs.name, threads)
            if not expected:
                continue
            where = f"{inputs.name}, {counted(threads, 'thread')}"
            how.say(f"running {record.variant} on {where}")
            yield from _run_claims(files, folder / inputs.file, threads, expected, where, how, record.batch_invariant)


def _digests(record: VerificationRecord, folder: Path) -> dict[Path, str]:
    model = {folder / file.file: file.sha256 for file in record.files}
    return model | {folder / stored.file: stored.sha256 for stored in record.inputs}


def _file_claims(record: VerificationRecord, folder: Path) -> Iterator[Claim]:
    for file, digest in _digests(record, folder).items():
        seen = file_sha256(file)
        claim = f"{file.name} is the file that was verified"
        yield Claim(claim=claim, holds=seen == digest, outcome=f"sha256 {seen[:16]}", ran=False)
    expected = {**code_files(record.serving.runtime), SETTINGS_FILE: record.serving.text()}
    for name, data in expected.items():
        same = _bytes(folder / name) == data
        other = f"it is not: made by Isobatch {record.tool_version}, or changed since. It is code, so it is not run"
        outcome = "byte by byte" if same else other if name.endswith(".py") else "it has other settings than the record"
        yield Claim(claim=f"{name} is what Isobatch writes for this record", holds=same, outcome=outcome, ran=False)


def _run_claims(
    files: Files, images: Path, threads: int, expected: Mapping[int, str], where: str, how: Checking, invariant: bool
) -> Iterator[Claim]:
    """What a fresh process shows of these files on these images, beside the sums expected by N."""
    try:
        served = run_served(files, images, threads, expected, turn=invariant, timeout_s=how.timeout_s)
    except ServeError as error:
        yield Claim(claim=f"it loads and runs ({where})", holds=False, outcome=str(error))
    else:
        yield from output_claims(invariant, served, expected, where)


def _code_beside(record: VerificationRecord, folder: Path) -> dict[str, bytes]:
    contents = {name: _bytes(folder / name) for name in code_files(record.serving.runtime)}
    if missing := [name for name, data in contents.items() if data is None]:
        raise UsageError("record", f"there is no plain file {missing[0]} beside the record: copy it there")
    return {name: data for name, data in contents.items() if data is not None}


def _bytes(path: Path) -> bytes | None:
    """The content of a plain file of moderate size, else None."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_CODE:
        return None
    return path.read_bytes()


def output_claims(
    invariant: bool, served: Mapping[int, Served], expected: Mapping[int, str], where: str
) -> Iterator[Claim]:
    """Whether the outputs are the same at every N, where that is claimed, and whether they are those expected by N."""
    if invariant:
        differing = differing_sizes(served)
        runs = sum(len(answer.sums) for answer in served.values())
        alike = f"the same output bytes in {runs} runs over {sizes(served)}"
        outcome = f"differs at N = {', '.join(map(str, differing))}" if differing else alike
        yield Claim(claim=f"batch-invariant ({where})", holds=not differing, outcome=outcome)
    changed = [n for n, digest in expected.items() if served[n].plain != digest]
    others = f"others at {sizes(changed)}: another machine, other libraries or other weights"
    outcome = others if changed else "no output changed"
    yield Claim(claim=f"the recorded outputs ({where})", holds=not changed, outcome=outcome)


def holding(claims: Sequence[Claim]) -> bool:
    """Whether every claim holds, and there is one."""
    return bool(claims) and all(claim.holds for claim in claims)
