"""How often a variant, or its repaired self, gives the reference's answer on the images at hand."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.pipeline.decide.agreement import Answers
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.outcomes import changed
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.inputs.storing import digest
from isobatch.pipeline.prepare.artifacts import reference_name
from isobatch.pipeline.prepare.inputs import of_other_size
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Agreement
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.verify import Verified
from isobatch.pipeline.study.labelled import LabelledRun
from isobatch.pipeline.study.measure import Rounds


def agreement_of(
    stages: Stages, rounds: Rounds, references: Mapping[str, Evidence], labelled: LabelledRun | None, name: str
) -> dict[str, Any]:
    """How often the variant gives the reference's answer, as fields of VariantResult."""
    if stages.outcome.kind == "raw":  # its bytes are all there is, and no other precision has the same ones
        return {"agreement": None, "agreement_note": None}
    answers, natural = Answers(reference_name(stages)), _natural(stages)
    for inputs, prepared in natural.items():
        seen = rounds.get((name, inputs, stages.base_of(find_variant(name)).at(prepared.evaluation.side)))
        if seen is not None and (ruled := references.get(inputs)) is not None:
            rows = seen[0].singles
            _add(answers, prepared, (~changed(ruled.singles[: len(rows)], rows, stages.outcome)).tolist())
    known = bool(natural)
    if labelled is not None and labelled.reference is not None and (predicted := labelled.predictions.get(name)):
        known, ruled_classes = True, np.asarray(labelled.reference[: len(predicted.classes)])
        pictures = _pictures(labelled.images)
        where = f"{counted(len(ruled_classes), 'labelled image')} of {labelled.inputs}"
        answers.add(where, [pictures[i] for i in labelled.order], ruled_classes, np.asarray(predicted.classes))
    record = answers.record()
    note = f"{reference_name(stages)} gave no answer to compare with" if known and record is None else None
    return {"agreement": record, "agreement_note": note}


def reference_files(stages: Stages) -> dict[str, tuple[str, ...]]:
    """By input set the files of the reference's singles, where its answers are compared."""
    natural = () if stages.outcome.kind == "raw" else _natural(stages)
    return {name: stages.reference_files[name] for name in natural if name in stages.reference_files}


def repaired_agreement(stages: Stages, verified: Sequence[Verified]) -> Agreement | None:
    """How often a repaired self gives the reference's answer, by its verification's singles; None: not compared."""
    answers, natural = Answers(reference_name(stages)), _natural(stages)
    for result in verified:
        if result.as_reference is not None:
            _add(answers, natural[result.inputs], result.as_reference)
    return answers.record()


def _natural(stages: Stages) -> dict[str, PreparedSet]:
    """The input sets whose answers count: no drawn noise, and not the same pictures at another size."""
    return {
        prepared.record.name: prepared
        for prepared in stages.sets
        if not prepared.record.drawn and not of_other_size(prepared.record.name, stages.config)
    }


def _add(answers: Answers, prepared: PreparedSet, same: Sequence[bool]) -> None:
    """Add of the set's first images whether their answers are the reference's."""
    source = f"{counted(len(same), 'image')} of {prepared.record.name}"
    answers.add(source, _pictures(prepared.evaluation), np.ones(len(same), np.int64), np.asarray(same, np.int64))


@lru_cache(maxsize=8)
def _pictures(images: Images) -> tuple[bytes | tuple[str, int], ...]:
    """For each image what it is a picture of: its content, or the photograph that it is a crop of.

    Asked for every variant, and read once.
    """
    if images.groups is not None:
        return tuple((images.name, group) for group in images.groups)
    return tuple(digest(images.read(i, i + 1)) for i in range(len(images)))
