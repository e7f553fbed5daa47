"""Two finished studies, compared: which bytes are equal, how far others are apart, what changed, what regressed.

Pure functions of the studies' records; stored output rows come through ``Outputs``, where a run's folder has them.
Only what was measured with the same weights on the same images is compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isobatch.pipeline.compare.comparisons import ImageRows
from isobatch.pipeline.compare.metrics import measure_all
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Condition, Fingerprint, Study, VariantResult
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.tools.two_runs.records import Apart, RunComparison, RunNamed, SetCompared
from isobatch.pipeline.tools.two_runs.regressions import run_changes, set_changes, variant_changes
from isobatch.pipeline.tools.two_runs.surroundings import run_differences

Outputs = Callable[[str, Fingerprint], ImageRows | None]
"""Of a variant and a fingerprint: image indices and output rows; None where they are not stored."""

AXES = ("threads", "isa", "memory_format", "device", "cuda")
"""Parts of a condition in which whole runs may differ, and be compared all the same."""

NO_EVIDENCE = "how far apart: not measured: evidence files absent"


@dataclass(frozen=True)
class _Sides:
    """What both runs share."""

    a: Study
    b: Study
    outputs_a: Outputs
    outputs_b: Outputs
    inputs: dict[str, str]  # names of the shared sets, of run ``a`` to run ``b``
    across: tuple[str, ...]  # axes in which each run has one value of its own: conditions are matched without them

    def key(self, condition: Condition) -> str:
        """What a condition of one run has in common with one of the other."""
        return condition.model_dump_json(exclude=set(self.across))


def compare_runs(a: Study, b: Study, outputs_a: Outputs, outputs_b: Outputs) -> RunComparison:
    """The comparison of run ``b`` with run ``a``. Raises UsageError ("incomparable-runs") where they share nothing."""
    inputs, left_out = _shared_inputs(a, b)
    values = {axis: (_values(a, axis), _values(b, axis)) for axis in AXES}
    across = tuple(axis for axis, (mine, yours) in values.items() if len(mine) == len(yours) == 1 and mine != yours)
    sides = _Sides(a, b, outputs_a, outputs_b, inputs, across)
    theirs = {variant.name: variant for variant in b.variants}
    sets, changes = [], run_changes(a, b)
    for variant in a.variants:
        other = theirs.pop(variant.name, None)
        if other is None:
            left_out.append(f"{variant.name}: only in run A")
            continue
        changes += variant_changes(variant, other, inputs, (a.left_out, b.left_out))
        for name in inputs:
            if compared := _set(sides, variant, other, name):
                sets.append(compared)
                changes += set_changes(variant, other, compared, inputs[name])
    left_out += [f"{name}: only in run B" for name in theirs]
    return RunComparison(
        a=_named(a),
        b=_named(b),
        differences=run_differences(a, b, across),
        left_out=left_out,
        sets=sets,
        changes=changes,
    )


def _named(study: Study) -> RunNamed:
    return RunNamed(run_id=study.run_id, created_utc=study.created_utc, tool_version=study.tool.version)


def _shared_inputs(a: Study, b: Study) -> tuple[dict[str, str], list[str]]:
    """The sets of equal content, by their names in either run; and a line for each other one."""
    if a.weights.sha256 != b.weights.sha256:
        raise UsageError(
            "incomparable-runs",
            f"the runs used other weights ({a.weights.model}, {a.weights.source}, {a.weights.sha256[:8]} against "
            f"{b.weights.model}, {b.weights.source}, {b.weights.sha256[:8]}): their outputs cannot be compared. "
            "Run both with the same network and weights",
        )
    theirs = {inputs.sha256: inputs.name for inputs in b.inputs}
    shared = {inputs.name: theirs[inputs.sha256] for inputs in a.inputs if inputs.sha256 in theirs}
    if not shared:
        names = " and ".join(", ".join(inputs.name for inputs in study.inputs) or "none" for study in (a, b))
        raise UsageError(
            "incomparable-runs",
            f"the runs share no input set (by SHA-256 of the images; their sets: {names}). "
            "Run both with the same --inputs, --images, --image-size and --seed",
        )
    mine = [f"inputs {i.name}: no set of the same content in run B" for i in a.inputs if i.name not in shared]
    other = set(shared.values())
    return shared, mine + [
        f"inputs {inputs.name}: no set of the same content in run A" for inputs in b.inputs if inputs.name not in other
    ]


def _values(study: Study, axis: str) -> set[Any]:
    return {getattr(mark.condition, axis) for variant in study.variants for mark in variant.fingerprints}


def _set(sides: _Sides, a: VariantResult, b: VariantResult, inputs: str) -> SetCompared | None:
    """One variant on one shared set; None where neither run has a verdict or an output of it."""
    mine, theirs = _marks(sides, a, inputs), _marks(sides, b, sides.inputs[inputs])
    verdicts = [
        next((verdict.verdict for verdict in variant.by_inputs if verdict.inputs == name), None)
        for variant, name in ((a, inputs), (b, sides.inputs[inputs]))
    ]
    if not (mine or theirs or any(verdicts)):
        return None
    shared = [key for key in mine if key in theirs]
    equal, unknown, apart, notes = 0, 0, [], set[str]()
    for key in shared:
        same, distance, note = _outputs(sides, (a, mine[key]), (b, theirs[key]))
        equal += same is True
        unknown += same is None
        apart += [distance] if distance else []
        notes |= {note} if note else set()
    only_in_one = (*_unshared(mine, theirs, "A"), *_unshared(theirs, mine, "B"))
    return SetCompared(
        variant=a.name,
        inputs=inputs,
        verdict_a=verdicts[0],
        verdict_b=verdicts[1],
        same_bytes=_same(len(shared), equal, unknown),
        n_outputs=len(shared),
        n_equal=equal,
        n_undecided=unknown,
        apart=max(apart, key=lambda c: (np.nan_to_num(c.max_abs, nan=np.inf), c.n_elements_differing), default=None),
        notes=(*sorted(notes), *only_in_one),
        only_in_one=only_in_one,
    )


_Marks = dict[tuple[str, int], Fingerprint]


def _marks(sides: _Sides, variant: VariantResult, inputs: str) -> _Marks:
    """The variant's fingerprints on a set, by what both runs call a condition, and N."""
    return {
        (sides.key(mark.condition), mark.batch_size): mark for mark in variant.fingerprints if mark.inputs == inputs
    }


def _unshared(mine: _Marks, theirs: _Marks, run: str) -> list[str]:
    """What only one run has: its scope is wider there."""
    if mine and not theirs:
        return [f"outputs only in run {run}"]
    conditions = {condition for condition, _ in theirs}
    alone = [key for key in mine if key not in theirs]
    wider = {n for condition, n in alone if condition in conditions}
    elsewhere = {condition for condition, _ in alone if condition not in conditions}
    notes = [f"{sizes(wider)} only in run {run}"] if wider else []
    return notes + ([f"{counted(len(elsewhere), 'condition')} only in run {run}"] if elsewhere else [])


def _outputs(
    sides: _Sides, a: tuple[VariantResult, Fingerprint], b: tuple[VariantResult, Fingerprint]
) -> tuple[bool | None, Apart | None, str]:
    """Whether two outputs are equal, their distance where it can be measured, and a remark.

    Fingerprints of two numbers of images say nothing; rows do, of the images that both runs have.
    """
    if a[1].sha256 == b[1].sha256:
        return True, None, ""
    same_images = _n_images(*a) == _n_images(*b)
    rows = sides.outputs_a(a[0].name, a[1]), sides.outputs_b(b[0].name, b[1])
    if rows[0] is None or rows[1] is None:
        if same_images:
            return False, None, NO_EVIDENCE
        return None, None, "other numbers of images, and evidence files absent: cannot be said"
    images, at_a, at_b = np.intersect1d(rows[0][0], rows[1][0], return_indices=True)
    if not len(images):
        return None, None, "no image was run at this N in both: cannot be said"
    try:
        differences: dict[str, Any] = dict(measure_all(rows[0][1][at_a], rows[1][1][at_b]))
    except ValueError as error:
        return False, None, str(error)
    named = {name: differences[name] for name in Apart.model_fields if name in differences}
    apart = Apart(condition=a[1].condition, batch_size=a[1].batch_size, n_images=len(images), **named)
    note = "" if same_images else f"other numbers of images: compared on {len(images)}"
    return apart.n_elements_differing == 0, apart if apart.n_elements_differing else None, note


def _n_images(variant: VariantResult, mark: Fingerprint) -> int | None:
    """How many images stand behind a fingerprint; None where the report does not tell."""
    if mark.batch_size == 1:
        judged = (verdict for verdict in variant.by_inputs if verdict.inputs == mark.inputs)
        ran = (part for verdict in judged for part in verdict.images_run if part.condition == mark.condition)
        if told := next(ran, None):  # a second process may have repeated fewer
            return told.stop - told.first
    kind = "repeat" if mark.batch_size == 1 else "batch-vs-singles"
    return next(
        (
            comparison.n_images
            for comparison in variant.comparisons
            if (comparison.kind, comparison.inputs, comparison.batch_size, comparison.condition)
            == (kind, mark.inputs, mark.batch_size, mark.condition)
        ),
        None,
    )


def _same(outputs: int, equal: int, unknown: int) -> bool | None:
    if equal + unknown < outputs:
        return False
    return True if outputs and not unknown else None
