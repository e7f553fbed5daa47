from collections import Counter
from dataclasses import replace

import pytest

from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.plan import Job, in_turn, plan_passes
from isobatch.pipeline.records.study import Condition


def test_default_study_on_sixteen_images() -> None:
    passes = plan_passes(16, (2, 3, 4, 8, 16), probes=True)
    assert [(p.kind, p.batch_size, p.start, p.stop) for p in passes] == [
        ("singles", 1, 0, 16),
        ("batched", 2, 0, 16),
        ("batched", 3, 0, 15),  # one image is left over: alone it would be no evidence
        ("batched", 4, 0, 16),
        ("batched", 8, 0, 16),
        ("batched", 16, 0, 16),
        ("position", 4, 0, 16),
        ("neighbours", 4, 0, 16),
    ]


def test_a_ragged_last_batch_is_evidence_for_its_own_size() -> None:
    assert Pass("batched", 3, 4, 7) in plan_passes(7, (4,), probes=False)
    assert Pass("batched", 3, 4, 7) not in plan_passes(7, (3, 4), probes=False)  # 3 is tested anyway
    assert plan_passes(11, (4, 8), probes=False).count(Pass("batched", 3, 8, 11)) == 1  # left over by both


def test_too_few_images_leave_a_size_out() -> None:
    assert {p.batch_size for p in plan_passes(4, (2, 4, 8), probes=False)} == {1, 2, 4}


@pytest.mark.parametrize("n_images", [1, 2, 3, 5, 16, 33])
def test_no_image_fills_a_batch_and_none_is_met_twice_in_a_pass(n_images: int) -> None:
    for one_pass in plan_passes(n_images, (2, 3, 4, 8, 16, 32), probes=True):
        assert 0 <= one_pass.start < one_pass.stop <= n_images
        assert (one_pass.stop - one_pass.start) % one_pass.batch_size == 0
        assert max(Counter(one_pass.images).values()) == 1


def test_a_job_of_the_cpu_is_named_as_before_there_were_others() -> None:
    passes = plan_passes(4, (2,), probes=False)
    on_cpu = Job("fp32", "seed", Condition(threads=1, image_size=64), 0, passes, "a", "b")
    assert on_cpu.file_name == "seed-t1-r0-f083126809dc.safetensors"
    there = Condition(threads=1, image_size=64, device="cuda", cuda=CudaOptions())
    on_gpu = replace(on_cpu, condition=there)
    switched = replace(on_cpu, condition=there.model_copy(update={"cuda": CudaOptions(tf32="on")}))
    assert len({one.id for one in (on_cpu, on_gpu, switched)}) == 3
    assert on_gpu.file_name.startswith("seed-t1-cuda-r0-")


def test_one_image_has_nothing_to_be_batched_with() -> None:
    assert plan_passes(1, (2, 4), probes=True) == (Pass("singles", 1, 0, 1),)


def test_the_last_neighbour_of_each_batch_is_no_victim() -> None:
    assert Pass("neighbours", 4, 0, 8).images == (0, 1, 2, 4, 5, 6)


def test_a_timed_set_runs_every_size_at_least_twice() -> None:
    timed = plan_passes(16, (4, 8, 16), probes=False, timed=True)
    assert [p for p in timed if p.kind == "repeat"] == [Pass("repeat", 16, 0, 16)]


def test_a_repeat_comes_after_other_sizes() -> None:
    timed = plan_passes(16, (4, 8, 16), probes=True, timed=True)
    assert timed[-1] == Pass("repeat", 16, 0, 16) and timed[-2].batch_size != 16


def test_the_second_round_runs_the_passes_backwards_behind_the_singles() -> None:
    passes = plan_passes(4, (2, 4), probes=False)
    first, second = (Job("fp32", "seed", Condition(threads=1, image_size=64), r, passes, "a", "b") for r in (0, 1))
    assert [p.batch_size for p in first.in_order] == [1, 2, 4]
    assert [p.batch_size for p in second.in_order] == [1, 4, 2]


def test_probes_of_the_grid_leave_out_a_rotation_that_moves_nothing() -> None:
    passes = plan_passes(4, (2,), probes=True, rotations=(1, 2, 3), neighbours=("zeros", "worst"))
    assert [p.rotation for p in passes if p.kind == "position"] == [1, 3]
    assert [p.neighbour for p in passes if p.kind == "neighbours"] == ["zeros", "worst"]
    assert len({p.id for p in passes}) == len(passes)


def test_rounds_reverse_the_order() -> None:
    assert in_turn(["a", "b"], thorough=True) == [(0, "a"), (0, "b"), (1, "b"), (1, "a")]


def test_a_job_is_named_by_everything_that_decides_its_outputs() -> None:
    def job(**changes: object) -> Job:
        fields: dict[str, object] = {
            "variant": "fp32",
            "inputs": "seed",
            "condition": Condition(threads=1, image_size=64),
            "round": 0,
            "passes": plan_passes(4, (2,), probes=False),
            "artifact_key": "a",
            "inputs_sha256": "b",
        }
        return Job(**(fields | changes))  # type: ignore[arg-type]

    changed = [
        job(variant="bf16"),
        job(inputs="digits"),
        job(condition=Condition(threads=2, image_size=64)),
        job(round=1),
        job(passes=plan_passes(4, (2, 4), probes=False)),
        job(artifact_key="c"),
        job(inputs_sha256="d"),
    ]
    assert job().id == job().id
    assert len({one.id for one in [job(), *changed]}) == 1 + len(changed)
    assert job().calls == 4 + 2
    assert job().images_passed == 8
