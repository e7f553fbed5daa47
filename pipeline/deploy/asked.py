"""Which variant of a study is to be shipped: its choice or a named one, native or repaired."""

from dataclasses import dataclass
from pathlib import Path

from isobatch import PROGRAM
from isobatch.models.registry import all_variants
from isobatch.models.spec.nearest import did_you_mean
from isobatch.models.weights.model_name import own_code
from isobatch.pipeline.decide.ranges import as_shipped
from isobatch.pipeline.decide.repaired_variants import native_and_rung, with_repairs
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Delivery, Repair, Study, VariantResult


@dataclass(frozen=True)
class Asked:
    """What is to be shipped."""

    study: Study
    run: Path
    name: str
    native: VariantResult
    shown: VariantResult  # with a repair the repaired self of ``native``, else ``native``
    repair: Repair | None
    timeout_s: float

    @property
    def delivery(self) -> Delivery | None:
        """How its repair is made again; None for a native one."""
        return self.repair.delivery if self.repair else None


def asked_for(study: Study, run: Path, variant: str | None, timeout_s: float) -> Asked:
    """The variant of that name; None: the study's choice. Raises UsageError where it cannot be shipped."""
    name = variant or (study.recommendation.chosen if study.recommendation else None)
    candidates = [v for v in with_repairs(study.variants) if v.status == "measured" and v.role == "candidate"]
    every = {v.name: as_shipped(v) for v in candidates}
    known, rows = ", ".join(every), {row.name: row for row in all_variants()}
    if not every:
        raise UsageError("nothing-chosen", f"{run} measured no candidate: there is nothing to ship")
    if name is None:
        raise UsageError("nothing-chosen", f"{run} recommends nothing: name what to ship with --variant: {known}")
    if name in rows and rows[name].role == "reference":
        text = f"{name} is the reference, which the others are measured against, and is not shipped"
        raise UsageError("not-deployable", f"{text}. {run} has {known}")
    if name not in every:
        near = did_you_mean(name, every)
        raise UsageError("unknown-variant", f"{run} measured no candidate {name!r}: {near} It has {known}")
    native_name, rung = native_and_rung(name)
    if native_name not in rows:
        raise UsageError(
            "unknown-variant", f"{native_name} is no variant of this version: use the one that wrote {run}"
        )
    native = next(v for v in study.variants if v.name == native_name)
    if native.device != "cpu":
        raise UsageError("not-deployable", f"{name} was measured on {native.device}: deploy ships what ran on the CPU")
    if native.runtime == "torch" and (code := own_code(study.weights.model)):
        text = f"{name} runs code that is {code} ({study.weights.model}), and only numbers are shipped"
        raise UsageError("not-deployable", f"{text}: ship an ort- variant of it")
    repair = next((r for r in native.repairs or () if r.name == rung), None) if rung else None
    if rung and (repair is None or repair.delivery is None or repair.delivery.change.recheck is not None):
        text = f"{name} cannot be made of files: its repair keeps top-1 only"
        raise UsageError("not-deployable", f"{text}. {PROGRAM} repair --variant {native_name} writes one")
    return Asked(study, run, name, native, every[name], repair, timeout_s)


def main_set(variant: VariantResult) -> str:
    """The input set that it was timed on, else the last that it has a verdict on."""
    if variant.cost is not None:
        return variant.cost.inputs
    return variant.by_inputs[-1].inputs if variant.by_inputs else ""
