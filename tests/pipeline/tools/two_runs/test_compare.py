"""Two runs compared, from real comparisons and fingerprints of fake networks to the gate's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.compare.batch_classes import fingerprints
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.decide.policy import describe
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.stored import write_evidence
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import (
    VERDICTS,
    AccuracyDrop,
    Condition,
    DecidedBy,
    Fingerprint,
    ImagesRun,
    InputsVerdict,
    Range,
    Recommendation,
    Study,
    Sureness,
    VariantResult,
    Verdict,
)
from isobatch.pipeline.tools.two_runs.compare import NO_EVIDENCE, Outputs, compare_runs
from isobatch.pipeline.tools.two_runs.records import RunComparison, SetCompared
from isobatch.pipeline.tools.two_runs.stored_outputs import stored_outputs
from tests.fakes import CONDITION, Network, faithful, one_ulp_when_batched, run, table
from tests.pipeline.decide.test_ranges import verified
from tests.pipeline.results import interval, result
from tests.reports import studies

SEED = studies.INPUTS[0]
ROWS = table()


def nothing(variant: str, mark: Fingerprint) -> None:
    return None


def variant(
    name: str = "fp32",
    network: Network | None = None,
    verdict: Verdict = "batch-invariant",
    condition: Condition = CONDITION,
    evidence: Evidence | None = None,
    **more: Any,
) -> VariantResult:
    """A measured variant with the fingerprints and comparisons of a fake network."""
    seen = evidence or run(network or faithful(ROWS))
    decided = DecidedBy(inputs="seed", condition=condition, batch_size=4, why="what was seen.")
    by_inputs = InputsVerdict(
        inputs="seed",
        verdict=verdict,
        decided_by=decided,
        n_images=6,
        n_comparisons=2,
        top1_flips=0,
        top1_flip_upper95=0.4,
    )
    fields: dict[str, Any] = {
        "by_inputs": [by_inputs],
        "fingerprints": fingerprints(seen, condition),
        "comparisons": comparisons(seen, seen, None, condition),
    }
    return result(name, verdict, **(fields | more))


def study(*variants: VariantResult, **changed: Any) -> Study:
    return studies.study(list(variants), inputs=[SEED]).model_copy(update=changed)


def compared(a: Study, b: Study, rows_a: Outputs = nothing, rows_b: Outputs = nothing) -> RunComparison:
    return compare_runs(a, b, rows_a, rows_b)


def only_set(comparison: RunComparison) -> SetCompared:
    (compared_set,) = comparison.sets
    return compared_set


def stored(folder: Path, evidence: Evidence, name: str = "fp32") -> Outputs:
    write_evidence(folder / "evidence" / name / "any-name.safetensors", evidence)
    return stored_outputs(folder)


def test_a_run_agrees_with_itself() -> None:
    run_study = study(variant(), variant("bf16", one_ulp_when_batched(ROWS), "batch-variant"))
    comparison = compared(run_study, run_study)
    assert comparison.portable == ["fp32", "bf16"]  # batch-variant, yet the same everywhere
    assert not comparison.differences and not comparison.changes and not comparison.left_out
    assert [(compared_set.n_outputs, compared_set.n_equal) for compared_set in comparison.sets] == [(3, 3), (3, 3)]


def test_other_bytes_are_measured_where_both_runs_kept_their_rows(tmp_path: Path) -> None:
    moved = ROWS.copy()
    moved[2, 1] += np.float32(0.5)
    before, after = run(faithful(ROWS)), run(faithful(moved))
    a, b = study(variant(evidence=before)), study(variant(evidence=after))
    compared_set = only_set(compared(a, b, stored(tmp_path / "a", before), stored(tmp_path / "b", after)))
    assert (compared_set.same_bytes, compared_set.n_equal, compared_set.n_outputs) == (False, 0, 3)
    assert compared_set.apart is not None
    assert (
        compared_set.apart.n_images,
        compared_set.apart.n_images_equal,
        compared_set.apart.n_elements_differing,
    ) == (6, 5, 1)
    assert compared_set.apart.max_abs == float(np.abs(np.float64(moved[2, 1]) - np.float64(ROWS[2, 1])))
    assert NO_EVIDENCE not in compared_set.notes


@pytest.mark.parametrize("which", ["absent", "damaged", "of another run"])
def test_without_trusted_evidence_the_distance_is_not_made_up(tmp_path: Path, which: str) -> None:
    before, after = run(faithful(ROWS)), run(faithful(-ROWS))
    rows_b = stored(tmp_path / "b", after)
    file = tmp_path / "b" / "evidence" / "fp32" / "any-name.safetensors"
    if which == "absent":
        file.unlink()
    elif which == "damaged":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        write_evidence(file, run(faithful(2 * ROWS)))
    a, b = study(variant(evidence=before)), study(variant(evidence=after))
    compared_set = only_set(compared(a, b, stored(tmp_path / "a", before), rows_b))
    assert (compared_set.same_bytes, compared_set.apart, compared_set.notes) == (False, None, (NO_EVIDENCE,))


def test_a_name_in_a_report_opens_no_folder_elsewhere(tmp_path: Path) -> None:
    evidence = run(faithful(ROWS))
    stored(tmp_path / "elsewhere", evidence)
    mark = fingerprints(evidence, CONDITION)[0]
    here = stored_outputs(tmp_path / "here")
    assert here("../../elsewhere/evidence/fp32", mark) is None
    assert stored_outputs(tmp_path / "elsewhere")("fp32", mark) is not None


def test_rows_of_other_numbers_of_images_are_compared_on_those_both_have(tmp_path: Path) -> None:
    few, many = run(faithful(ROWS), 4, (2,)), run(faithful(ROWS), 6, (2,))
    a, b = study(variant(evidence=few)), study(variant(evidence=many))
    unknown = only_set(compared(a, b))
    assert (unknown.same_bytes, unknown.n_equal, unknown.n_undecided) == (None, 0, 2)
    known = only_set(compared(a, b, stored(tmp_path / "a", few), stored(tmp_path / "b", many)))
    assert (known.same_bytes, known.n_equal, known.n_undecided) == (True, 2, 0)
    assert any("compared on 4" in note for note in known.notes)


def test_singles_of_which_one_run_repeated_fewer_are_of_the_same_images_all_the_same() -> None:
    whole, moved = variant(), variant(network=faithful(-ROWS))
    fewer = [c.model_copy(update={"n_images": 2}) if c.kind == "repeat" else c for c in moved.comparisons]
    ran = [ImagesRun(condition=CONDITION, first=0, stop=6)]
    runs = [
        each.model_copy(update={"by_inputs": [each.by_inputs[0].model_copy(update={"images_run": ran})], **changed})
        for each, changed in ((whole, {}), (moved, {"comparisons": fewer}))
    ]
    apart = only_set(compared(*map(study, runs)))
    assert (apart.same_bytes, apart.n_equal, apart.n_undecided) == (False, 0, 0)


def test_runs_that_differ_as_wholes_in_threads_are_matched_across_them() -> None:
    one, two = (Condition(threads=n, image_size=8) for n in (1, 2))
    comparison = compared(study(variant(condition=one)), study(variant(condition=two)))
    assert only_set(comparison).same_bytes is True
    assert [(d.what, d.a, d.b) for d in comparison.differences] == [("threads", "1", "2")]


def test_conditions_that_one_run_has_alone_are_named_and_not_matched() -> None:
    one, two, three = (Condition(threads=n, image_size=8) for n in (1, 2, 3))
    marks = [*fingerprints(run(faithful(ROWS)), one), *fingerprints(run(faithful(ROWS)), two)]
    others = [*fingerprints(run(faithful(ROWS)), one), *fingerprints(run(faithful(-ROWS)), three)]
    compared_set = only_set(compared(study(variant(fingerprints=marks)), study(variant(fingerprints=others))))
    assert (compared_set.same_bytes, compared_set.n_outputs) == (True, 3)
    assert compared_set.notes == ("1 condition only in run A", "1 condition only in run B")


def test_a_variant_without_outputs_in_one_run_says_so() -> None:
    compared_set = only_set(compared(study(variant()), study(variant(fingerprints=[]))))
    assert (compared_set.same_bytes, compared_set.n_outputs, compared_set.notes) == (
        None,
        0,
        ("outputs only in run A",),
    )


def test_another_scope_is_said_beside_the_verdict() -> None:
    wide = run(faithful(ROWS), batch_sizes=(2, 3, 4))
    comparison = compared(study(variant()), study(variant(evidence=wide, verdict="batch-variant")))
    assert "N = 3 only in run B" in only_set(comparison).notes
    assert "N = 3 only in run B" in comparison.regressions[0].note


@pytest.mark.parametrize("before", VERDICTS)
@pytest.mark.parametrize("after", VERDICTS)
def test_a_verdict_that_got_worse_is_a_regression_and_nothing_else_is(before: Verdict, after: Verdict) -> None:
    comparison = compared(study(variant(verdict=before)), study(variant(verdict=after)))
    verdicts = [change for change in comparison.changes if change.what == "verdict"]
    worse = VERDICTS.index(after) > VERDICTS.index(before)
    assert [(c.a, c.b, c.kind) for c in verdicts] == (
        [] if before == after else [(before, after, "regression" if worse else "improvement")]
    )
    if worse:
        assert "N = 4, 2 threads" in verdicts[0].note


@pytest.mark.parametrize("status", ["unavailable", "failed"])
def test_a_variant_that_can_no_longer_be_had_is_a_regression(status: str) -> None:
    gone = VariantResult(name="fp32", runtime="torch", precision="fp32", status=status, reason="no engine")  # type: ignore[arg-type]
    comparison = compared(study(variant()), study(gone))
    (change,) = [c for c in comparison.changes if c.what == "status"]
    assert (change.kind, change.a, change.b, change.note) == ("regression", "measured", status, "no engine")
    back = compared(study(gone), study(variant()))
    assert [c.kind for c in back.changes if c.what == "status"] == ["improvement"]


def test_what_a_budget_left_out_is_no_regression() -> None:
    fields: Any = {"name": "bf16", "runtime": "torch", "precision": "bf16", "status": "unavailable"}
    gone = VariantResult(**fields, reason="left out: too few seconds")
    whole, short = study(variant(), variant("bf16")), study(variant(), gone, left_out=["bf16", "explanation"])
    comparison = compared(decided(whole, "bf16"), decided(short, None))
    assert [(c.kind, c.what, c.a, c.b, c.note) for c in comparison.changes] == [
        ("other", "policy", "met by bf16", "not met", "run B left out bf16: --budget gave no time"),
        ("other", "status", "measured", "left out by --budget", "left out: too few seconds"),
    ]
    back = compared(decided(short, None), decided(whole, "bf16"))
    assert {c.kind for c in back.changes} == {"other"} and "run A left out bf16" in back.changes[0].note
    repaired = compared(decided(whole, "fp32+surgical"), decided(short, None))
    assert not repaired.regressions and "left out origins and repairs" in repaired.changes[0].note
    assert compared(decided(whole, "fp32"), decided(short, None)).regressions  # it was measured, and lost all the same


def drop(decided: str | None) -> AccuracyDrop:
    return AccuracyDrop(
        value=0.01,
        upper95=0.02,
        n=400,
        only_reference_right=4,
        only_variant_right=0,
        decided=decided,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("met", "not-met", "regression"),
        ("not-met", "met", "improvement"),
        ("met", "undecided", "other"),
        ("undecided", "not-met", "other"),
        (None, "not-met", "other"),
    ],
)
def test_an_accuracy_drop_regresses_only_from_met_to_not_met(before: str | None, after: str, kind: str) -> None:
    accuracy = studies.measured(studies.ROWS[0]).accuracy
    assert accuracy is not None
    same_set = accuracy.model_copy(update={"inputs": "seed"})
    a, b = (study(variant(accuracy=same_set, accuracy_drop=drop(one))) for one in (before, after))
    (change,) = [c for c in compared(a, b).changes if c.what == "accuracy drop"]
    assert change.kind == kind and change.note == "accuracy drop 1 point and 1 point"
    other_set = study(variant(accuracy=accuracy, accuracy_drop=drop(after)))
    assert not [c for c in compared(a, other_set).changes if c.what == "accuracy drop"]


def decided(made_by: Study, chosen: str | None, **policy: Any) -> Study:
    assert made_by.recommendation is not None
    asked = made_by.recommendation.policy.model_copy(update=policy)
    made = Recommendation(policy=asked, chosen=chosen, because=[describe(asked)], rejected=[], ties=[], pareto=[])
    return made_by.model_copy(update={"recommendation": made})


def test_a_policy_no_longer_met_is_a_regression_under_the_same_policy_only() -> None:
    run_study = study(variant())
    lost = compared(decided(run_study, "fp32"), decided(run_study, None))
    assert [(c.what, c.kind) for c in lost.changes] == [("policy", "regression")]
    assert [(c.what, c.kind) for c in compared(decided(run_study, None), decided(run_study, "fp32")).changes] == [
        ("policy", "improvement")
    ]
    stricter = compared(decided(run_study, "fp32"), decided(run_study, None, max_latency_ms=1.0))
    assert not stricter.regressions
    assert "the policies differ" in stricter.changes[0].note
    assert ("policy: max_latency_ms", "null", "1.0") in [(d.what, d.a, d.b) for d in stricter.differences]


def test_two_that_a_run_calls_as_good_are_named_so() -> None:
    run_study = study(variant())
    before, after = decided(run_study, "fp32"), decided(run_study, "ort-fp32")
    assert after.recommendation is not None
    unsure = {"runner_up": "fp32", "sureness": Sureness(share=0.6, resamples=100)}
    after = after.model_copy(update={"recommendation": after.recommendation.model_copy(update=unsure)})
    assert [change.note for change in compared(before, after).changes] == ["run B calls fp32 as good"]


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (verified(32), verified(19, (20, "batch", 0)), ["regression"]),
        (verified(19, (20, "batch", 0)), verified(32), ["improvement"]),
        (verified(16), verified(19, (20, "batch", 0)), []),  # not looked at before
        (verified(32), verified(5, stopped="the time for it was over"), []),
        (verified(32), None, []),
    ],
)
def test_a_range_that_fails_where_it_held_is_a_regression(before: Range, after: Range | None, kinds: list[str]) -> None:
    runs = [study(variant().model_copy(update={"range": one})) for one in (before, after)]
    assert [change.kind for change in compared(*runs).changes] == kinds


def test_cost_is_listed_where_intervals_do_not_meet_and_never_gates() -> None:
    slow, slower = variant(per_second=100, latency_ms=10), variant(per_second=50, latency_ms=10.1)
    comparison = compared(study(slow), study(slower))
    assert [(c.what, c.kind) for c in comparison.changes] == [("throughput at N = 8", "other")]
    once = slower.model_copy(
        update={"cost": slower.cost and slower.cost.model_copy(update={"latency_ms": interval(99, None)})}
    )
    assert "latency at N = 1" not in [c.what for c in compared(study(slow), study(once)).changes]


def test_environment_comes_before_configuration() -> None:
    a = study(variant())
    b = study(
        variant(),
        environment=a.environment.model_copy(update={"cpu": "other", "packages": {"torch": "2.14.0"}}),
        config={**a.config, "batch_sizes": [2]},
    )
    differences = [(d.group, d.what, d.a, d.b) for d in compared(a, b).differences]
    assert differences == [
        ("environment", "cpu", "AMD EPYC 9R14", "other"),
        ("environment", "version: torch", "2.13.0+cpu", "2.14.0"),
        ("environment", "version: onnxruntime", "1.32.0", "absent"),
        ("configuration", "batch_sizes", "2, 3, 4, 8, 16", "2"),
    ]


def test_runs_of_other_weights_are_refused() -> None:
    a = study(variant())
    other = a.model_copy(update={"weights": a.weights.model_copy(update={"sha256": "ff" * 32})})
    with pytest.raises(UsageError, match=r"other weights .* same network and weights") as error:
        compared(a, other)
    assert error.value.code == "incomparable-runs"


def test_runs_without_a_common_input_set_are_refused_and_others_restricted() -> None:
    a = study(variant())
    other = SEED.model_copy(update={"sha256": "00" * 32})
    with pytest.raises(UsageError, match="share no input set"):
        compared(a, a.model_copy(update={"inputs": [other]}))
    more = SEED.model_copy(update={"name": "mine", "sha256": "11" * 32})
    comparison = compared(a, a.model_copy(update={"inputs": [SEED, more]}))
    assert comparison.left_out == ["inputs mine: no set of the same content in run A"]
    assert [compared_set.inputs for compared_set in comparison.sets] == ["seed"]


def test_a_set_is_known_by_its_content_not_by_its_name() -> None:
    renamed = SEED.model_copy(update={"name": "folder"})
    there = variant(evidence=run(faithful(ROWS), inputs="folder"))
    moved = there.model_copy(
        update={"by_inputs": [set_verdict.model_copy(update={"inputs": "folder"}) for set_verdict in there.by_inputs]}
    )
    comparison = compared(study(variant()), study(moved, inputs=[renamed]))
    assert (only_set(comparison).same_bytes, only_set(comparison).verdict_b) == (True, "batch-invariant")


def test_variants_of_one_run_only_are_named() -> None:
    comparison = compared(study(variant(), variant("bf16")), study(variant(), variant("fp16")))
    assert comparison.left_out == ["bf16: only in run A", "fp16: only in run B"]
    assert not comparison.regressions


def test_nan_is_farther_than_any_number(tmp_path: Path) -> None:
    def spoilt(batch: list[int], _: int) -> NDArray[Any]:
        out = ROWS[batch].copy()
        out[:, 0] += np.float32(np.nan if len(batch) == 2 else 100)
        return out

    before, after = run(faithful(ROWS)), run(spoilt)
    a, b = study(variant(evidence=before)), study(variant(evidence=after))
    compared_set = only_set(compared(a, b, stored(tmp_path / "a", before), stored(tmp_path / "b", after)))
    assert (
        compared_set.apart is not None and np.isnan(compared_set.apart.max_abs) and compared_set.apart.batch_size == 2
    )
