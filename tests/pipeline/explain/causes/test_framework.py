"""The order of interventions, what names an origin, and that one which fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.explain.causes import UNEXPLAINED, Cause, Finding, Subject, explain_origin
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.origins import explain_origins
from tests.pipeline.explain.test_locate import SIZES, Planted, last_bit

Verdict = Literal["supported", "refuted", "inconclusive"]


def cause(
    name: str,
    verdict: Verdict | Exception,
    order: float = 1,
    role: Literal["mechanism", "trigger"] = "mechanism",
    applies: Callable[[Subject], bool] = lambda subject: True,
) -> Cause:
    def probe(subject: Subject) -> Finding:
        if isinstance(verdict, Exception):
            raise verdict
        return Finding(verdict, f"seen at {subject.layer.name}")

    return Cause(role, order, "Is it?", "It is.", "It is not.", applies, probe, name)


class _Runner:
    def replay(self, layer: str, inputs: Rows) -> Rows:
        return (last_bit(inputs[0]),)


def subject() -> Subject:
    rows: NDArray[Any] = np.arange(12, dtype=np.float32).reshape(4, 3)
    return Subject(_Runner(), Layer("second", "linear", "linear"), (rows,), batch=3, threads=1, seed=0)


def test_a_subject_shows_the_difference_between_alone_and_together() -> None:
    assert subject().alone.shape == subject().together.shape == (3, 3)
    assert subject().differing.all()


def test_the_n_of_the_captured_rows_is_one_at_which_they_differ() -> None:
    """Drawn rows show it from N = 2 on, the captured ones from N = 3 on."""

    def middle(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return last_bit(rows, above=1 if np.abs(rows).max() > 16 else 2)

    asked: list[int] = []

    def probe(subject: Subject) -> Finding:
        asked.append(subject.batch)
        assert subject.differing.any()
        return Finding("supported", "seen")

    images = np.random.default_rng(5).uniform(-1, 1, (4, 3, 2, 2)).astype(np.float32)
    runner = Planted(middle)
    located = locate(runner, images, SIZES, seed=7)
    assert located.findings["second"].batch_sizes == [2, 3, 4]
    told = Cause("mechanism", 1, "Is it?", "It is.", "It is not.", lambda subject: True, probe, "a")
    explain_origins(runner, located, images, 1, 7, [told])
    assert asked == [3]


def test_the_first_supported_mechanism_names_the_origin_and_ends_the_search_for_others() -> None:
    tried = [cause("a", "refuted"), cause("b", "supported"), cause("c", "supported")]
    explanation = explain_origin(subject(), tried)
    assert explanation.mechanism == "b"
    assert [finding.name for finding in explanation.causes] == ["a", "b"]


def test_every_trigger_is_tried() -> None:
    tried = [cause("a", "supported"), cause("t", "supported", role="trigger"), cause("u", "refuted", role="trigger")]
    explanation = explain_origin(subject(), tried)
    assert (explanation.mechanism, explanation.triggers) == ("a", ("t",))
    assert [finding.verdict for finding in explanation.causes] == ["supported", "supported", "refuted"]


def test_what_fails_is_inconclusive_and_what_does_not_apply_is_not_tried() -> None:
    tried = [cause("a", ValueError("no\nluck")), cause("b", "supported", applies=lambda subject: False)]
    explanation = explain_origin(subject(), tried)
    assert explanation.mechanism == UNEXPLAINED
    (only,) = explanation.causes
    assert only.verdict == "inconclusive"
    assert only.evidence == "The intervention could not be made: ValueError: no luck"


def test_one_layer_of_a_signature_is_examined_and_speaks_for_its_siblings() -> None:
    runner = Planted(last_bit)
    images = np.random.default_rng(1).standard_normal((4, 3, 2, 2), np.float32)
    located = locate(runner, images, SIZES, seed=7)
    explanations = explain_origins(runner, located, images, threads=1, seed=7, causes=[cause("a", "supported")])
    assert set(explanations) == {"second", "twin"}
    assert {one.explained_by for one in explanations.values()} == {"second"}
    assert explanations["twin"].to_json() == {
        "mechanism": "a",
        "triggers": [],
        "causes": [{"name": "a", "verdict": "supported", "evidence": "seen at second", "trees": {}}],
        "explained_by": "second",
    }
