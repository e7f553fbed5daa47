from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from isobatch.models.ort import saturation as ort_saturation
from isobatch.models.ort.saturation import saturating_operators


@pytest.fixture(autouse=True)
def _forget() -> Any:
    saturating_operators.cache_clear()
    yield
    saturating_operators.cache_clear()


def replay(monkeypatch: pytest.MonkeyPatch, clip: int | None) -> frozenset[str]:
    """What is found on a machine that computes exactly, or adds pairs of products into ``clip`` bits."""
    x = np.full((1, 64, 8, 8), 255, np.uint8)
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(ort_saturation._extreme_sums()))
    exact: list[Any] = list(evaluator.run(["QLinearConv", "ConvInteger"], {"x": x}))
    if clip is not None:
        share = min(2 * 255 * 127, 2 ** (clip - 1) - 1) / (2 * 255 * 127)
        exact[0] = (exact[0] * share).astype(np.uint8)

    class Session:
        def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
            assert np.array_equal(feed["x"], x)
            return exact

    monkeypatch.setattr(ort_saturation, "open_session", lambda *_, **__: Session())
    return saturating_operators()


def test_exact_kernels_are_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replay(monkeypatch, clip=None) == frozenset()


def test_kernels_that_add_pairs_in_16_bits_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replay(monkeypatch, clip=16) == {"QLinearConv"}


def test_this_machine_has_an_answer() -> None:
    assert saturating_operators() <= {"QLinearConv", "ConvInteger"}
