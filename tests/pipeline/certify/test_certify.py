"""The choice verified at every N: what a worker does, and what follows. Runners have differences at known N."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.certify import in_worker
from isobatch.pipeline.certify import stage as certify_stage
from isobatch.pipeline.certify.crossing import ComparisonRan, Filled, RangeAsked, RangeTold
from isobatch.pipeline.certify.in_worker import gathered, verify_range
from isobatch.pipeline.certify.stage import OUT_OF_TIME, certify
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.race.in_worker import Runners
from isobatch.pipeline.records.study import Policy, Race, VariantResult
from tests.fakes import NO_ARTIFACT
from tests.models.pytorch.int8.test_ties import MovedConvolution
from tests.pipeline.results import race, result

SIZES = [2, 3, 4, 5, 6]


class Plain:
    """Rows that cannot depend on the batch, but for ``spoil``."""

    def __init__(self, spoil: Callable[[NDArray[Any]], NDArray[Any]] = lambda rows: rows) -> None:
        self.spoil = spoil

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        return self.spoil(np.stack([image.mean(axis=1).ravel() for image in images]))


def at(n: int, kind: str = "batch") -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The last place of a call of ``n`` rows, or of ``n`` copies, moves to the next float."""

    def spoil(rows: NDArray[Any]) -> NDArray[Any]:
        copies = len(rows) > 1 and bool((rows == rows[0]).all())
        if len(rows) == n and copies == (kind == "copies"):
            rows[-1, 0] = np.nextafter(rows[-1, 0], np.float32(np.inf))
        return rows

    return spoil


def stored(tmp_path: Path, count: int, seed: int, name: str = "digits") -> Images:
    rows = np.random.default_rng(seed).standard_normal((count, 3, 8, 8), np.float32)
    return store_images(name, tmp_path / name, iter(rows))


def test_batches_are_filled_with_labelled_images_then_with_drawn_ones_and_with_none_twice(tmp_path: Path) -> None:
    own = stored(tmp_path, 4, 0)
    labelled = stored(tmp_path, 6, 0, "labelled")  # the same generator: its first four are the set's own
    images, filled_with = gathered(own, [labelled], 8, seed=1)
    assert filled_with == Filled(own=4, labelled=2, drawn=2)
    assert len({image.tobytes() for image in images}) == len(images) == 8
    assert images[:6].tobytes() == labelled.read(0, 6).tobytes()
    fewer, filled_with = gathered(own, [], 2, seed=1)
    assert filled_with == Filled(own=2) and len(fewer) == 2


def told(
    monkeypatch: pytest.MonkeyPatch, runner: Any, images: Images, variant: str = "fp32", **more: Any
) -> list[RangeTold]:
    monkeypatch.setattr(in_worker, "opened", lambda payload, stack: Runners(runner, runner))
    opens = Opening(variant, RunnerSettings(2), NO_ARTIFACT, images, images, None, most=max(SIZES))
    payload = RangeAsked(**vars(opens), sizes=SIZES, labelled=(), seed=0, seconds=1e6, ties=True).to_json()
    tellings: list[dict[str, Any]] = []
    verify_range(payload | more, tellings.append)
    return [RangeTold.of(json.loads(json.dumps(event))) for event in tellings]


def ran(told: list[RangeTold], ties: bool = False) -> list[ComparisonRan]:
    return [event.ran for event in told if event.ran and (event.ran.kind == "ties") == ties]


@pytest.mark.parametrize(("n", "kind"), [(5, "batch"), (3, "copies")])
def test_every_n_is_run_with_a_batch_and_with_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, kind: str
) -> None:
    events = told(monkeypatch, Plain(at(n, kind)), stored(tmp_path, 4, 0))
    assert events[0] == RangeTold(Filled(own=4, drawn=2)) and len(ran(events)) == len(events) - 1
    assert [(comparison.n, comparison.kind) for comparison in ran(events)] == [
        (k, w) for k in SIZES for w in ("batch", "copies")
    ]
    assert [
        (comparison.n, comparison.kind, comparison.differing) for comparison in ran(events) if comparison.differing
    ] == [(n, kind, 1)]


def test_integer_layers_are_put_on_rounding_ties(
    resnet18_artifact: Callable[[str], Artifact],
    images5: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    images = store_images("five", tmp_path / "five", iter(images5))
    with load(find_variant("int8-x86").open)(resnet18_artifact("int8-x86"), RunnerSettings(threads=1)) as runner:
        runner.net.get_submodule("layer1.0.conv1").__class__ = MovedConvolution
        with known_deprecations():
            events = told(monkeypatch, runner, images, "int8-x86", sizes=[2, 3])
            rule = {"canonical": {"layer1.0.conv1": {"size": 1}}}
            mended = told(monkeypatch, runner, images, "int8-x86", sizes=[2], delivery={"change": rule, "serving": {}})
    ties = ran(events, ties=True)
    assert [comparison.n for comparison in ties] == [1, 2, 3] and ties[1].layers > 20
    assert all(comparison.differing > 0 and comparison.elements > comparison.differing for comparison in ties[1:])
    assert ran(mended, ties=True)[0].layers == ties[0].layers - 1  # a layer in one shape never sees the caller's N


class Line:
    """Workers that run in this process."""

    def __init__(self, runners: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.runners, self.monkeypatch, self.called = runners, monkeypatch, list[str]()
        self.timed: list[list[str]] = []

    def call(self, environment: Any, function: str, payload: dict[str, Any], on_event: Any) -> Any:
        self.called.append(payload["variant"])
        runner = self.runners[payload["variant"]]
        self.monkeypatch.setattr(in_worker, "opened", lambda payload, stack: Runners(runner, runner))
        try:
            return verify_range(payload, on_event)
        except MemoryError:
            raise WorkerError("its worker was ended by SIGKILL", "crash") from None


def decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runners: dict[str, Any], sizes: tuple[int, ...] = (*SIZES, 9)
) -> tuple[dict[str, VariantResult], Line]:
    """``certify`` on a race that fp32 leads before bf16, both recommended at N = 8."""
    images = stored(tmp_path, 4, 0)
    for name, value in (("opening", opening_of(images)), ("find_variant", find_variant)):
        monkeypatch.setattr(certify_stage, name, value)

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        yield
        stages.seconds[name] = stages.seconds.get(name, 0.0) + 1.0

    workers = Line(runners, monkeypatch)
    progress = SimpleNamespace(step=lambda label, cost: None)
    config = SimpleNamespace(budget_s=None, certify=sizes, quick=False, seed=1)
    stages: Any = SimpleNamespace(
        config=config, progress=progress, workers=workers, stage=stage, seconds={}, announce=lambda stage, cost: None
    )
    variants = [result("fp32"), result("bf16")]

    def timed_again(variants: list[VariantResult], raced: Race) -> Race:
        workers.timed.append([variant.name for variant in variants if variant.range])
        return raced

    certified, _ = certify(stages, variants, Policy(), race(fp32=200, bf16=100), None, timed_again)
    return {variant.name: variant for variant in certified}, workers


def opening_of(images: Images) -> Any:
    return lambda stages, variants, variant, most: (
        {},
        Opening(variant.name, RunnerSettings(2), NO_ARTIFACT, images, images, None, most=most),
    )


def test_what_holds_is_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided_range, workers = decided(tmp_path, monkeypatch, {"fp32": Plain(), "bf16": Plain()})
    range_ = decided_range["fp32"].range
    assert workers.called == ["fp32"] and decided_range["bf16"].range is None
    assert range_ is not None and (range_.to, range_.batch_size, range_.failed_at) == (9, 8, [])
    assert (range_.threads, range_.image_size, range_.n_comparisons) == (2, [8, 8], 12)


def test_a_failure_inside_what_is_shipped_leads_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided_range, workers = decided(tmp_path, monkeypatch, {"fp32": Plain(at(5)), "bf16": Plain(at(9))})
    first, second = decided_range["fp32"].range, decided_range["bf16"].range
    assert workers.called == ["fp32", "bf16"]
    assert first is not None and (first.to, first.failed_at) == (4, [5])
    assert second is not None and (second.to, second.failed_at) == (6, [9])
    assert workers.timed == [["fp32"], ["fp32", "bf16"]]  # what a limit asks of the next is asked once it is the choice


def test_a_worker_that_ends_early_ends_the_range_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(rows: NDArray[Any]) -> NDArray[Any]:
        if len(rows) == 9:
            raise MemoryError
        return rows

    decided_range, _ = decided(tmp_path, monkeypatch, {"fp32": Plain(crash)})
    range_ = decided_range["fp32"].range
    assert range_ is not None and (range_.to, range_.failed_at) == (6, [])
    assert range_.stopped == "its worker was ended by SIGKILL"


def test_what_the_time_does_not_suffice_for_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certify_stage, "CERTIFY_S", 0.0)
    monkeypatch.setattr(certify_stage, "_LEAST_S", 0.0)
    decided_range, _ = decided(tmp_path, monkeypatch, {"fp32": Plain()})
    range_ = decided_range["fp32"].range
    assert range_ is not None and (range_.to, range_.n_comparisons, range_.stopped) == (1, 0, OUT_OF_TIME)


def test_nothing_is_verified_where_nothing_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided_range, workers = decided(tmp_path, monkeypatch, {}, ())
    assert workers.called == [] and decided_range["fp32"].range is None
