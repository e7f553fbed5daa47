"""What a study knows, at its end or before, as the record of ``report.json``."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isobatch.pipeline.config.conditions import base
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.flags import VERSION
from isobatch.pipeline.decide.fixed_point import answer
from isobatch.pipeline.machine.environment import read_environment
from isobatch.pipeline.prepare.artifacts import reference_name
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Race, Study, Timing, Tool, VariantResult
from isobatch.pipeline.study.assess import Findings
from isobatch.pipeline.study.soundness import Sound


@dataclass
class KnownSoFar:
    """What is known so far, told after each stage: the study with what is still to come in ``pending``."""

    stages: Stages
    findings: Findings
    tell: Callable[[Study], None]
    begin: float  # of time.monotonic
    seconds: float = 0.0  # that telling took the last time

    def so_far(self, results: list[VariantResult], pending: Sequence[str], race: Race | None = None) -> None:
        """Tell. Without a recommendation, which waits for all."""
        said, now = None, time.monotonic()
        with contextlib.suppress(Exception):  # a variant over which it cannot be answered is told at the end
            said = answer(results)
        study = as_record(self.stages, self.findings, results, Sound(None, None), now - self.begin, None)
        self.stages.run.keep_time()
        self.tell(study.model_copy(update={"answer": said, "pending": list(pending), "race": race}))
        self.seconds = time.monotonic() - now


def as_record(
    stages: Stages,
    findings: Findings,
    results: list[VariantResult],
    sound: Sound,
    wall_s: float,
    peak_bytes: int | None,
) -> Study:
    """The record, without answer and recommendation. ``wall_s``, ``peak_bytes``: of the whole study so far."""
    every = [evidence for rounds in findings.rounds.values() for evidence in rounds]
    calls = [seconds for evidence in every for spent in evidence.call_s.values() for seconds in spent]
    images = [p.stop - p.start for evidence in every for p in evidence.passes]
    readback = {
        name: text
        for (_, _, condition), rounds in findings.rounds.items()
        if condition.isa == stages.base.isa
        for evidence in rounds
        for name, text in evidence.readback.items()
    }
    environment = base(stages.config, stages.config.device).environment
    assert stages.weights is not None
    return Study(
        run_id=stages.run.id,
        created_utc=stages.run.created_utc,
        tool=Tool(version=VERSION),
        environment=read_environment(stages.threads, readback, environment, stages.caps.seen, stages.device),
        config=_portable(stages.config),
        weights=stages.weights,
        warnings=stages.warnings,
        left_out=stages.left_out,
        inputs=[prepared.record for prepared in stages.sets],
        reference=reference_name(stages) if findings.references else None,
        variants=results,
        baseline=sound.baseline,
        mixing=sound.mixing,
        timing=Timing(
            wall_s=wall_s,
            forward_s=sum(calls),
            forward_passes=len(calls),
            images_passed=sum(images),
            warm_up_s=sum(s for evidence in every for s in evidence.warm_up_s),
            stages=stages.seconds,
            kept_jobs=stages.kept_jobs,
            peak_memory_bytes=peak_bytes,
            engine=stages.engine.name,
            machines=stages.engine.machines,
            workers=stages.most_workers,
        ),
    )


def _portable(config: Config) -> dict[str, Any]:
    """The configuration for the report: paths by file name only, so that it can be sent around."""
    shown = asdict(config)
    for name in ("onnx", "weights", "inputs", "classes", "labels"):
        shown[name] = shown[name] and (Path(shown[name]).name or shown[name])
    return {name: shown[name] for name in (*config.decisive(), "policy")}
