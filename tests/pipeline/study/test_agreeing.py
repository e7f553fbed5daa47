"""How often a repaired self gives the reference's answer, from the files of the reference's singles to the record."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from isobatch.models.spec.outcome import CLASSES
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.evidence.stored import write_evidence
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.repair.verify import Verified
from isobatch.pipeline.study.agreeing import reference_files, repaired_agreement
from isobatch.pipeline.study.inside.in_worker import _ruled
from tests.models.pytorch.small_networks import pixels
from tests.pipeline.storage.test_files import evidence


def stages(tmp_path: Path, **files: tuple[str, ...]) -> Any:
    sets = [
        SimpleNamespace(record=SimpleNamespace(name=name, drawn=name == "seed"), evaluation=stored)
        for name in ("seed", "digits")
        if (stored := store_images(name, tmp_path / name, iter(pixels(3))))
    ]
    config = Config(("fp32",))
    return SimpleNamespace(sets=sets, config=config, outcome=CLASSES, without_fp64=False, reference_files=files)


def test_the_answers_of_a_repair_are_counted_where_the_native_ones_are(tmp_path: Path) -> None:
    known = stages(tmp_path, seed=("a",), digits=("b",))
    assert reference_files(known) == {"digits": ("b",)}  # drawn noise has no answer that counts
    verified = [Verified("seed"), Verified("digits", as_reference=(True, False, True))]
    agreement = repaired_agreement(known, verified)
    assert agreement is not None and (agreement.n_answers, agreement.reference, agreement.counted) == (
        3,
        "fp64",
        "3 images of digits",
    )
    assert agreement.share == 2 / 3
    assert repaired_agreement(known, [Verified("digits")]) is None
    assert reference_files(replace_outcome(known)) == {}


def replace_outcome(known: Any) -> Any:
    return SimpleNamespace(**vars(known) | {"outcome": replace(CLASSES, kind="raw")})


def test_the_references_singles_are_read_from_their_files(tmp_path: Path) -> None:
    stored = evidence(np.float32)
    write_evidence(tmp_path / "e", stored)
    digits: Any = SimpleNamespace(name="digits")
    found = _ruled({"digits": (str(tmp_path / "e"),)}, digits)
    assert found is not None and found.tobytes() == stored.singles.tobytes()
    assert _ruled({}, digits) is None
