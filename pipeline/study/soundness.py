"""The stage that asks whether anything can be recommended at all: a sound reference, and a network that mixes none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isobatch.pipeline.config.conditions import GridPoint
from isobatch.pipeline.decide.baseline import check_baseline
from isobatch.pipeline.decide.mixing import Control, decide
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.rows import row_distance
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.records.study import Baseline, Mixing, VariantResult
from isobatch.pipeline.study.crossing import RowsAsked
from isobatch.pipeline.study.labelled import BASELINE_SINGLES, LabelledRun
from isobatch.pipeline.study.measure import Rounds


@dataclass(frozen=True)
class Sound:
    """What was found of the reference and of the network; None where there was nothing to look at."""

    baseline: Baseline | None
    mixing: Mixing | None


def judge_baseline(stages: Stages, run: LabelledRun | None) -> Baseline | None:
    """The reference's own top-1, from the singles that were predicted; None without labels, or with random weights."""
    if run is None or (singles := run.predictions.get(BASELINE_SINGLES)) is None:
        return None
    predicted = np.asarray(singles.classes, dtype=np.int64)
    pictures = not any(prepared.evaluation.fields for prepared in stages.sets)
    return check_baseline(baseline(stages.config), predicted, run.labels(len(predicted)), singles.outputs, pictures)


def judge_mixing(stages: Stages, results: Sequence[VariantResult]) -> Mixing | None:
    """Whether the network mixes images: asked where some variant's rows depend on the batch, and every fp32's do.

    An fp32 with the bytes of singles in every batch, beside an outlier too, is of a network that mixes none.
    The control runs on the float variant on the last set, whether or not that variant was asked for.
    """
    name = baseline(stages.config)
    differ = [
        result for result in results if result.verdict in ("top1-stable", "batch-variant", "invalid", "not-repeatable")
    ]
    if not differ or any(result.verdict == "batch-invariant" and result.precision == "fp32" for result in results):
        return None
    prepared = stages.sets[-1]
    artifact = stages.artifacts.get((name, prepared.record.name))
    if artifact is None or name in stages.failures:
        return None
    asked = RowsAsked(name, GridPoint(stages.threads).runner, artifact, prepared.evaluation)
    stages.progress.step(f"other neighbours for {name}", 0.0)
    try:
        control = stages.call("isobatch.pipeline.study.in_worker:mixes", asked.to_json(), name)
    except WorkerError as error:
        stages.warn("mixing-unknown", f"Whether the network itself mixes images could not be looked at: {error.reason}")
        return None
    mixing = decide(name, Control.of(control), next((result for result in results if result.name == name), None))
    if mixing.mixes is None:
        stages.warn("mixing-unknown", f"Whether the network itself mixes images is not known. {mixing.evidence}")
    return mixing


def float_error(stages: Stages, rounds: Rounds, references: Mapping[str, Evidence]) -> float | None:
    """How far the baseline's singles are from the reference's, over the row's largest |logit|: the worst image's.

    None where the baseline was not measured beside the reference.
    """
    largest = None
    for (variant, inputs, _), pair in rounds.items():
        if variant == baseline(stages.config) and inputs in references:
            rows = pair[0].singles
            ruled = references[inputs].singles[: len(rows)]
            with np.errstate(invalid="ignore", divide="ignore"):
                apart = row_distance(ruled, rows) / np.abs(ruled.astype(np.float64)).max(axis=1)
            largest = max(largest or 0.0, float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)))
    return largest
