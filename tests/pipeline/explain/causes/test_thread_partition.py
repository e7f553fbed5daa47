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
    found = explained(PlantedLinear(forwards, in_blocks))
    assert found.triggers == ("thread-partition",)
    assert "With one thread 0 of 48 output elements differ" in finding(found, "thread-partition").evidence


def test_what_stays_with_one_thread_is_not() -> None:
    found = explained(AlwaysBlocked(forwards, in_blocks))
    assert finding(found, "thread-partition").verdict == "refuted" and found.triggers == ()


def test_with_one_thread_there_is_nothing_to_ask() -> None:
    found = explained(PlantedLinear(forwards, in_blocks), threads=1)
    assert "thread-partition" not in [one.name for one in found.causes]
