"""Many rows through comparison, verdict and report: peak memory and time. ``python -m benchmarks.rows [ROWS]``.

Synthetic outputs of one variant, written as evidence as a worker would: 1000 float32 logits a row, two conditions of
two rounds, one N at which every row differs from its singles, one at which one in a hundred does, and fp64 singles.
Exits 1 above 3 GB.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import SAMPLE
from isobatch.pipeline.compare.batch_classes import batch_classes, fingerprints
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.decide.verdict import ConditionTested, inputs_verdict
from isobatch.pipeline.evidence.evidence import Evidence, Pass
from isobatch.pipeline.evidence.stored import read_evidence, write_evidence
from isobatch.pipeline.records.study import Condition, Study, VariantResult
from isobatch.reports.files.write_all import write_reports

CLASSES, LIMIT_BYTES = 1000, 3_000_000_000
CONDITIONS = [Condition(threads=threads, image_size=224) for threads in (1, 2)]


def main() -> int:
    """Write the evidence in one process, read it in another, and print what the second one needed."""
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
        return 0
    rows = int(sys.argv[1]) if sys.argv[1:] else 50_000
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "benchmarks.rows", "write", folder, str(rows)], check=True)
        begin = time.monotonic()
        result = judge(Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        facts = {
            "rows": rows,
            "comparisons": len(result.comparisons),
            "verdict": result.verdict,
            "wall_s": round(time.monotonic() - begin, 1),
            "peak_bytes": peak,
            "evidence_bytes": sum(file.stat().st_size for file in Path(folder).glob("*.safetensors")),
        }
    print(json.dumps(facts, indent=1))
    return int(peak > LIMIT_BYTES)


def write(folder: Path, rows: int) -> None:
    """The evidence of both conditions and rounds, and of the reference."""
    singles = np.random.default_rng(0).standard_normal((rows, CLASSES), np.float32)
    every, few = np.arange(rows - rows % 8), np.arange(0, rows - rows % 2, 100)
    passes = (Pass("singles", 1, 0, rows), Pass("batched", 2, 0, rows - rows % 2), Pass("batched", 8, 0, len(every)))
    moved = {
        passes[1].id: (few, np.nextafter(singles[few], np.float32(9))),
        passes[2].id: (every, np.nextafter(singles[every], np.float32(9))),
    }
    for at, _ in enumerate(CONDITIONS):
        for turn in (0, 1):
            write_evidence(folder / f"{at}-{turn}.safetensors", _evidence(singles, passes, moved, turn))
    write_evidence(folder / "reference.safetensors", _evidence(singles.astype(np.float64), passes[:1], {}, 0))


def _evidence(singles: NDArray[Any], passes: tuple[Pass, ...], rows: dict[str, Any], turn: int) -> Evidence:
    return Evidence(
        variant="synthetic",
        inputs="rows",
        round=turn,
        passes=passes,
        rows=({passes[0].id: (np.arange(len(singles)), singles)} | rows).__getitem__,
        call_s={planned.id: (0.1,) for planned in passes},
        effective={},
        clips=None,
        peak_memory_bytes=0,
        readback={},
    )


def judge(folder: Path) -> VariantResult:
    """Comparisons, verdict, classes, fingerprints and the written reports of the stored evidence."""
    reference = read_evidence(folder / "reference.safetensors")
    tested = []
    for at, condition in enumerate(CONDITIONS):
        first, second = (read_evidence(folder / f"{at}-{turn}.safetensors") for turn in (0, 1))
        tested.append(ConditionTested(condition, first, comparisons(first, second, reference, condition)))
    verdict = inputs_verdict(tested, len(reference.singles))
    assert verdict is not None
    result = VariantResult(
        name="synthetic",
        runtime="torch",
        precision="fp32",
        status="measured",
        verdict=verdict.verdict,
        decided_by=verdict.decided_by,
        by_inputs=[verdict],
        comparisons=[comparison for item in tested for comparison in item.comparisons],
        classes=[batch_classes(item.evidence, item.condition) for item in tested],
        fingerprints=[mark for item in tested for mark in fingerprints(item.evidence, item.condition)],
        margin=verdict.margin,
    )
    sample = Study.model_validate_json(SAMPLE.read_text())
    study = sample.model_copy(update={"variants": [result], "answer": None, "recommendation": None})
    write_reports(study, folder / "run")
    return result


if __name__ == "__main__":
    sys.exit(main())
