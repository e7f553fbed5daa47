"""A difference that one thread does not have."""

from __future__ import annotations

from tests.pipeline.explain.causes.rounding import PlantedLinear, explained, finding, forwards, in_blocks


class AlwaysBlocked(PlantedLinear):
    """Its order follows N, whatever the threads."""

    @property
    def threads(self) -> int:
        return 2

    @threads.setter
    def threads(self, count: int) -> None:
        pass


def test_what_is_gone_with_one_thread_is_triggered_by_threads() -> None:
    explanation = explained(PlantedLinear(forwards, in_blocks))
    assert explanation.triggers == ("thread-partition",)
    assert "With one thread 0 of 48 output elements differ" in finding(explanation, "thread-partition").evidence


def test_what_stays_with_one_thread_is_not() -> None:
    explanation = explained(AlwaysBlocked(forwards, in_blocks))
    assert finding(explanation, "thread-partition").verdict == "refuted" and explanation.triggers == ()


def test_with_one_thread_there_is_nothing_to_ask() -> None:
    explanation = explained(PlantedLinear(forwards, in_blocks), threads=1)
    assert "thread-partition" not in [one.name for one in explanation.causes]
