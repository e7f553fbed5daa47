"""The stage that reads the evidence: comparisons, classes, verdict, cost and accuracy of every variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant
from isobatch.models.spec.words import Manifest, VariantSpec
from isobatch.pipeline.compare.accuracy import accuracy, accuracy_drop
from isobatch.pipeline.compare.accuracy_by_batch_size import batch_accuracy, content_numbers
from isobatch.pipeline.compare.batch_classes import batch_classes, fingerprints
from isobatch.pipeline.compare.clipping import clip_notes
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.config.conditions import device_of
from isobatch.pipeline.decide.verdict import ConditionTested, images_run, inputs_verdict, repeatable, worst_verdict
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.inputs.storing import digest
from isobatch.pipeline.prepare.artifacts import baseline, reference_name
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import BatchAccuracy, Cost, Effective, Policy, VariantResult
from isobatch.pipeline.records.wording import of_inputs
from isobatch.pipeline.study.agreeing import agreement_of
from isobatch.pipeline.study.isolated import compared_apart, without_results
from isobatch.pipeline.study.labelled import BASELINE_SINGLES, LabelledRun, random_weights
from isobatch.pipeline.study.measure import Rounds


@dataclass(frozen=True)
class Findings:
    """Everything the running stages brought back."""

    rounds: Rounds
    references: dict[str, Evidence]  # the fp64 singles by input set
    costs: dict[str, Cost]  # by variant
    labelled: LabelledRun | None
    policy: Policy


def compared(stages: Stages, rounds: Rounds, references: Mapping[str, Evidence], name: str) -> VariantResult:
    """The record of one variant as far as its outputs tell: measured, with its verdict; or why not."""
    spec = find_variant(name)
    manifests = [artifact.manifest for (variant, _), artifact in stages.artifacts.items() if variant == name]
    failure = stages.failures.get(name)
    result = VariantResult(
        name=name,
        runtime=spec.runtime,
        precision=_precision(spec, manifests),
        role=spec.role,
        device=device_of(stages.config, spec),
        summary=spec.summary,
        recipe=dict(manifests[-1].recipe if manifests else spec.recipe),
        notes=list(manifests[-1].notes if manifests else ()),
        not_run=stages.not_run.get(name, []),
        **(vars(failure) if failure else {"status": "measured"}),
    )
    if failure:
        return result
    result = result.model_copy(update={"baseline": name == baseline(stages.config)})
    if spec.role == "reference":
        effective = [Effective(**evidence.effective) for evidence in references.values()]
        return result.model_copy(update={"effective": effective[-1] if effective else None})
    compared_sets = _compared(stages, rounds, references, name)
    notes = [*result.notes, *compared_sets.pop("clip_notes")]
    return result.model_copy(update=compared_sets | {"notes": notes})


class Verdicts:
    """The records of the variants as far as their outputs tell, each shown by the progress display when it comes."""

    def __init__(self, stages: Stages, references: Mapping[str, Evidence]) -> None:
        self._stages, self._references = stages, references
        self._known: dict[str, VariantResult] = {}

    def add(self, variant: str, rounds: Rounds) -> None:
        """Compare the outputs of one variant. ``rounds``: its evidence, none where it has failed."""
        look = partial(compared, self._stages, rounds, self._references)
        judged = compared_apart(self._stages, variant, look, look)  # a failure has no outputs
        self._known[variant] = judged
        if judged.role == "candidate":
            self._stages.progress.verdict(_in_words(judged, self._stages))

    def of_all(self) -> list[VariantResult]:
        """The records in the order in which the variants were asked for, those without any evidence among them."""
        for name in self._stages.config.variants:
            if name not in self._known:
                self.add(name, {})
        return [self._known[name] for name in self._stages.config.variants]


def _in_words(result: VariantResult, stages: Stages) -> VariantResult:
    """The record for the screen: what decided it in the words that fit the examples of this study."""
    if result.decided_by is None or all(prepared.record.of_pictures for prepared in stages.sets):
        return result
    why = result.decided_by.model_copy(update={"why": of_inputs(result.decided_by.why)})
    return result.model_copy(update={"decided_by": why})


def _precision(spec: VariantSpec, manifests: Sequence[Manifest]) -> str:
    """The variant's own; of a file that was quantized already what it brings: ``int8 as given``."""
    given = manifests[-1].recipe.get("as_given") if manifests else None
    return f"{given} as given" if given else spec.precision


def completed(stages: Stages, findings: Findings, result: VariantResult) -> VariantResult:
    """The record with cost, accuracy and agreement; without any result where the variant has failed meanwhile."""
    name = result.name
    if name in stages.failures:
        return without_results(stages, result)
    if result.role == "reference":
        return result
    facts = _accuracy(stages, findings, name)
    facts |= agreement_of(stages, findings.rounds, findings.references, findings.labelled, name)
    facts["batch_accuracy"] = _batch_accuracy(stages, findings, name)
    facts |= {"cost": findings.costs.get(name), "not_run": stages.not_run.get(name, [])}
    return result.model_copy(update=facts)


def _compared(stages: Stages, rounds: Rounds, references: Mapping[str, Evidence], name: str) -> dict[str, Any]:
    """What the comparisons say, as fields of VariantResult."""
    every, verdicts, notes = [], [], []
    for prepared in stages.sets:
        # the reference against itself says nothing
        ruled = None if name == reference_name(stages) else references.get(prepared.record.name)
        tested = [
            ConditionTested(
                condition, pair[0], comparisons(pair[0], pair[1] if len(pair) > 1 else None, ruled, condition)
            )
            for (variant, inputs, condition), pair in rounds.items()
            if (variant, inputs) == (name, prepared.record.name)
        ]
        every += tested
        notes += [f"{prepared.record.name}: {note}" for note in clip_notes(t.evidence for t in tested)]
        if tested and (verdict := inputs_verdict(tested, _distinct(prepared, tested))):
            verdicts.append(verdict)
    deciding = worst_verdict(verdicts)
    made = [comparison for tested_set in every for comparison in tested_set.comparisons]
    return {
        "clip_notes": notes,
        "effective": Effective(**every[-1].evidence.effective) if every else None,
        "verdict": deciding and deciding.verdict,
        "decided_by": deciding and deciding.decided_by,
        "by_inputs": verdicts,
        "repeatable": repeatable(made),
        "comparisons": made,
        "classes": [batch_classes(t.evidence, t.condition) for t in every],
        "fingerprints": [mark for t in every for mark in fingerprints(t.evidence, t.condition)],
        "margin": deciding and deciding.margin,
    }


def _distinct(prepared: PreparedSet, tested: Sequence[ConditionTested]) -> int:
    """How many of the images that were run under any condition differ by content."""
    run = images_run(tested)
    if len(run) == len(prepared.evaluation):
        return prepared.record.n
    return len({prepared.evaluation.read(i, i + 1).tobytes() for i in map(int, run)})


def _batch_accuracy(stages: Stages, findings: Findings, name: str) -> list[BatchAccuracy] | None:
    """The accuracy by N on every labelled set, from the rows that the comparisons were made of."""
    by_condition = []
    for prepared in stages.sets:
        if prepared.evaluation.labels is None:
            continue
        labels, contents = np.asarray(prepared.evaluation.labels), _contents(prepared)
        for (variant, inputs, condition), rounds in findings.rounds.items():
            if (variant, inputs) == (name, prepared.record.name):
                by_condition.append(
                    batch_accuracy(rounds[0], condition, labels, contents, findings.policy.equivalence_margin)
                )
    return [known for known in by_condition if known is not None] or None


def _contents(prepared: PreparedSet) -> NDArray[np.int64]:
    """A number for each image that its copies share."""
    images = prepared.evaluation
    if prepared.record.n == len(images):
        return np.arange(len(images))
    return content_numbers(digest(images.read(i, i + 1)) for i in range(len(images)))


def _accuracy(stages: Stages, findings: Findings, name: str) -> dict[str, Any]:
    """Accuracy and its drop against the baseline's singles, as fields of VariantResult."""
    run = findings.labelled
    if random_weights(stages):
        return {"accuracy_note": "the weights are random: their accuracy is not judged"}
    if run is None or run.images.labels is None:
        return {"accuracy_note": "no input set of this study has labels"}
    if (predicted := run.predictions.get(name)) is None:
        return {"accuracy_note": f"not measured on the {len(run.images)} labelled images (see what was not run)"}
    labels = run.labels(len(predicted.classes))
    facts: dict[str, Any] = {
        "accuracy": accuracy(np.asarray(predicted.classes), labels, run.inputs, predicted.batch_size)
    }
    if singles := run.predictions.get(BASELINE_SINGLES):
        limit, count = findings.policy.max_accuracy_drop, min(len(singles.classes), len(labels))
        both = np.asarray(singles.classes[:count]), np.asarray(predicted.classes[:count])
        facts["accuracy_drop"] = accuracy_drop(*both, labels[:count], limit, run.looks)
    return facts
