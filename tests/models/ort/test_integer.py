"""Exact sums of onnxruntime's integer operators, and the codes its own kernels make of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.ort.runner import QuantizedOrtRunner
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.interventions import Crafted, Integer, IntegerCall, Provocable
from isobatch.models.spec.runner import Rows
from isobatch.models.spec.words import RunnerSettings
from isobatch.pipeline.explain.causes import Subject, requantization, saturation
from isobatch.pipeline.explain.causes._epilogues import Formula, Terms, formulas, reproducing
from tests.models.ort import small_onnx
from tests.models.ort.small_onnx import build, classifier, pixels
from tests.models.pytorch.small_networks import watched

BATCH = 3


@pytest.fixture(scope="module", params=["ort-int8", "ort-int8-qoperator"])
def runner(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuantizedOrtRunner]:
    folder = tmp_path_factory.mktemp("integer")
    artifact = build(request.param, small_onnx.request(folder, classifier(), calibration=pixels(16)), folder)
    with load(find_variant(request.param).open)(artifact, RunnerSettings(threads=1)) as opened:
        yield opened


def everywhere(call: IntegerCall) -> Terms:
    return Terms.of(call.accumulators, np.ones(call.batched.shape, np.bool_))


def test_the_kernels_own_codes_are_one_formula_of_the_exact_sums(runner: QuantizedOrtRunner) -> None:
    assert isinstance(runner, Integer) and isinstance(runner, Provocable)
    found = []
    for name, (_, inputs, outputs) in watched(runner, pixels(BATCH)).items():
        numbers = runner.accumulators(name, inputs)
        if numbers is None:
            continue
        assert numbers.exact[0].shape == outputs[0].shape
        call = IntegerCall(outputs[0], outputs[0], numbers)
        assert reproducing([(everywhere(call), outputs[0].ravel())]), name
        found.append(name)
    assert {"a", "b", "c"} <= set(found)


def test_layers_lie_on_ties_halfway_and_at_extremes_and_stay_as_they_are(runner: QuantizedOrtRunner) -> None:
    seen = watched(runner, pixels(BATCH))
    for name in ("a", "b", "c"):
        calls = {how: runner.crafted(name, BATCH, 0, how) for how in ("ties", "middles", "extremes", "tame")}
        for how, call in calls.items():
            assert call is not None and call.singles.tobytes() == call.batched.tobytes(), (name, how)
        steps = {how: everywhere(call).steps for how, call in calls.items() if call is not None}
        apart = {how: np.abs(values % 1 - 0.5) for how, values in steps.items()}
        assert (apart["ties"] < 1e-4).mean() > 0.2 and (apart["middles"] > 0.49).mean() > 0.2
        assert runner.provoke(name, BATCH, seed=0) == (0, calls["ties"].batched.size)  # type: ignore[union-attr]
        _, inputs, outputs = seen[name]
        assert runner.replay(name, inputs)[0].tobytes() == outputs[0].tobytes()
        subject = Subject(runner, seen[name][0], inputs, BATCH, threads=1, seed=0)
        assert saturation.probe(subject).verdict == "refuted"


class OtherWhenBatched:
    """The real runner, whose results of several rows are another formula's."""

    def __init__(self, runner: QuantizedOrtRunner) -> None:
        self.runner = runner
        self.formula = next(formula for formula in formulas(1) if formula.text == "(acc*(s_x*s_w) + bias) * (1/s_y)")

    def accumulators(self, layer: str, inputs: Rows) -> Any:
        return self.runner.accumulators(layer, inputs)

    def replay(self, layer: str, inputs: Rows) -> Rows:
        (outputs,) = self.runner.replay(layer, inputs)
        if len(outputs) == 1:
            return (outputs,)
        numbers = self.runner.accumulators(layer, inputs)
        assert numbers is not None
        return (other_codes(self.formula, IntegerCall(outputs, outputs, numbers)),)

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        call = self.runner.crafted(layer, batch, seed, how)
        return call and IntegerCall(call.singles, other_codes(self.formula, call), call.accumulators)


def other_codes(formula: Formula, call: IntegerCall) -> NDArray[Any]:
    return formula.codes(everywhere(call)).astype(call.batched.dtype).reshape(call.batched.shape)


@pytest.mark.parametrize("layer", ["a", "b"])
def test_another_epilogue_of_a_batch_is_named_requantization(runner: QuantizedOrtRunner, layer: str) -> None:
    described, inputs, _ = watched(runner, pixels(BATCH))[layer]
    subject = Subject(OtherWhenBatched(runner), described, inputs, BATCH, threads=1, seed=0, found_by="provoked")
    assert requantization.applies_to(subject)
    finding = requantization.probe(subject)
    assert finding.verdict == "supported", finding.evidence
    assert "N = 1: all its codes are" in finding.evidence


def test_float_layers_and_layers_not_yet_watched_have_none(tmp_path: Path) -> None:
    artifact = build("ort-int8", small_onnx.request(tmp_path, classifier(), calibration=pixels(16)), tmp_path)
    with load(find_variant("ort-int8").open)(artifact, RunnerSettings(threads=1)) as opened:
        assert opened.crafted("a", BATCH, 0, "ties") is None and opened.provoke("a", BATCH, 0) == (0, 0)
        seen = watched(opened, pixels(1))
        for name, (_, inputs, outputs) in seen.items():
            if outputs[0].dtype == np.float32:
                assert opened.accumulators(name, inputs) is None
