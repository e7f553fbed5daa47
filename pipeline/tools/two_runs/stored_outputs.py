"""A run's stored output rows, found by their fingerprint: a file that a report does not vouch for is never used."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from isobatch.pipeline.compare.batch_classes import digest_of, rows_seen
from isobatch.pipeline.compare.comparisons import ImageRows, batch_sizes
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.records.study import Fingerprint
from isobatch.pipeline.storage.files import StoreError


def stored_outputs(folder: Path) -> Callable[[str, Fingerprint], ImageRows | None]:
    """What finds the rows of a run's folder whose bytes have a variant's fingerprint; None where no intact evidence of
    them is left. One variant's evidence is held at a time.
    """
    read = lru_cache(maxsize=1)(partial(_read, folder / "evidence"))

    def rows(variant: str, fingerprint: Fingerprint) -> ImageRows | None:
        evidence = read(variant).get((fingerprint.inputs, fingerprint.batch_size, fingerprint.sha256))
        return None if evidence is None else rows_seen(evidence, fingerprint.batch_size)

    return rows


def _read(folder: Path, variant: str) -> dict[tuple[str, int, str], Evidence]:
    stored: dict[tuple[str, int, str], Evidence] = {}
    if Path(variant).name != variant:  # the name stands in a report, which anybody may have written
        return stored
    for file in sorted((folder / variant).glob("*.safetensors")):
        if not file.is_file():  # a pipe would be waited for
            continue
        try:
            evidence = read_evidence(file)
        except StoreError:  # damaged: as good as absent
            continue
        for n in [1, *batch_sizes(evidence, "batched")]:
            stored.setdefault((evidence.inputs, n, digest_of(rows_seen(evidence, n)[1])), evidence)
    return stored
