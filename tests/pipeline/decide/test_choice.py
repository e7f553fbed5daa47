from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isobatch.pipeline.decide.choice import Choice, Contender, choose, dominates

MARGIN = 0.05


def contender(name: str, ratio: float = 1.0, rounds: int = 40, **more: Any) -> Contender:
    """A contender of nearly constant times; its noise is its own and the same at every call."""
    drawn = np.random.default_rng(sum(map(ord, name)))
    seconds = tuple(0.01 * ratio * np.exp(drawn.normal(0, 0.004, rounds)))
    return Contender(name, seconds, roughly=0.01 * ratio, **({"size": 1000} | more))


def answers(wrong: range, n: int = 400) -> np.ndarray:
    right = np.ones(n, bool)
    right[list(wrong)] = False
    return right


def chosen(*contenders: Contender, by_size: bool = False) -> Choice:
    return choose(contenders, MARGIN, by_size)


def test_the_fastest_is_chosen_and_the_others_are_named_slower() -> None:
    choice = chosen(contender("slow", 1.2), contender("fast"), contender("slower", 1.5))
    assert (choice.chosen, choice.decided_by, choice.runner_up) == ("fast", "speed", "slow")
    assert choice.standings == {"slow": "slower", "fast": "leader", "slower": "slower"}
    assert choice.share == 1.0 and choice.resamples > 0


def test_a_slower_one_wins_by_nothing() -> None:
    better = contender("better", 1.2, right=answers(range(0)), error=0.0, size=1)
    choice = chosen(contender("fast", right=answers(range(90)), error=1.0), better)
    assert choice.chosen == "fast"


@pytest.mark.parametrize(
    ("first", "other", "expected", "by"),
    [
        # 20 more images right, none lost: p = 2 * 0.5**20
        ({"right": answers(range(20))}, {"right": answers(range(0)), "error": 9.0, "size": 9000}, "other", "accuracy"),
        # one image of 400 decides nothing
        ({"right": answers(range(1))}, {"right": answers(range(0))}, "first", "speed"),
        ({"right": answers(range(1)), "error": 0.02}, {"right": answers(range(0)), "error": 0.021}, "first", "speed"),
        ({"error": 0.02}, {"error": 0.0185}, "first", "speed"),
        ({"error": 0.02}, {"error": 0.0175, "size": 9000}, "other", "error"),
        ({"size": 1000}, {"size": 960}, "first", "speed"),
        ({"size": 1000}, {"size": 900}, "other", "size"),
        # smaller, and of more error: the error goes first
        ({"error": 0.02}, {"error": 0.03, "size": 100}, "first", "speed"),
        # less error, and significantly less accurate
        ({"right": answers(range(0)), "error": 0.02}, {"right": answers(range(20)), "error": 0.01}, "first", "speed"),
    ],
)
def test_what_decides_among_those_shown_to_be_as_fast(
    first: dict[str, Any], other: dict[str, Any], expected: str, by: str
) -> None:
    choice = chosen(contender("first", 1.0, **first), contender("other", 1.01, **other))
    assert choice.standings == {"first": "leader", "other": "as-fast"}
    assert (choice.chosen, choice.decided_by) == (expected, by)


def test_holm_corrects_for_the_number_of_rivals() -> None:
    """Eight images gained and none lost: p = 0.0078. With one rival that is significant, with eight it is not."""
    rival = contender("rival", 1.01, right=answers(range(8, 12)))
    leader = contender("leader", right=answers(range(12)))
    assert chosen(leader, rival).decided_by == "accuracy"
    others = [contender(f"other{i}", 1.01, right=answers(range(12))) for i in range(7)]
    assert chosen(leader, rival, *others).chosen == "leader"


def test_of_several_that_are_more_accurate_one_image_decides_nothing() -> None:
    leader = contender("leader", right=answers(range(20)))
    most = contender("most", 1.01, right=answers(range(0)), size=1000, error=0.02)
    clear = contender("clear", 1.015, right=answers(range(1)), size=1000, error=0.01)
    choice = chosen(leader, most, clear)
    assert (choice.chosen, choice.decided_by) == ("clear", "accuracy")


def test_accuracy_is_compared_on_the_images_that_both_have_seen() -> None:
    """A drop that is decided after 100 images is looked at no further: 98 of 100 are not fewer than 390 of 400."""
    short, long = answers(range(2), 100), answers(range(10))
    assert not dominates(contender("long", right=long, size=900), contender("short", right=short), MARGIN)
    lost = contender("lost", right=answers(range(30)))
    choice = chosen(lost, contender("kept", 1.01, right=answers(range(0), 100)))
    assert (choice.chosen, choice.decided_by) == ("kept", "accuracy")


def test_the_only_small_one_is_decided_by_its_size() -> None:
    choice = chosen(contender("small", 2.0, size=100), contender("large"), by_size=True)
    assert (choice.chosen, choice.decided_by) == ("small", "size")


def test_the_undecided_never_goes_before_the_leader_and_lowers_the_sureness() -> None:
    drawn = np.random.default_rng(5)
    noisy = tuple(0.0101 * np.exp(drawn.normal(0, 0.15, 20)))
    better = Contender("noisy", noisy, right=answers(range(0)), size=10)
    choice = chosen(contender("steady", rounds=20, right=answers(range(50))), better)
    leader = choice.leader
    assert choice.standings[{"steady": "noisy", "noisy": "steady"}[leader]] == "undecided"
    assert choice.chosen == leader and choice.share is not None and choice.share < 1


def test_two_that_are_alike_in_everything_are_called_as_good() -> None:
    choice = chosen(contender("one"), contender("two"))
    assert choice.decided_by == "speed" and {choice.chosen, choice.runner_up} == {"one", "two"}
    assert choice.share is not None and 0.3 < choice.share < 1


def test_a_steadier_one_that_loses_nothing_goes_before_the_leader() -> None:
    choice = chosen(contender("stable", 1.0, rank=1), contender("invariant", 1.01, rank=0))
    assert (choice.leader, choice.chosen, choice.decided_by) == ("stable", "invariant", "stability")


def test_the_smallest_by_less_than_the_margin_pays_no_six_times_the_time() -> None:
    choice = chosen(contender("small", 6.0, size=25_800), contender("fast", size=25_900), by_size=True)
    assert choice.chosen == "fast"
    assert chosen(contender("small", 6.0, size=10_000), contender("fast", size=25_900), by_size=True).chosen == "small"


def test_without_a_race_the_passes_decide_and_nothing_is_sure() -> None:
    choice = chosen(Contender("a", roughly=2.0), Contender("b", roughly=1.0, size=9), Contender("c"))
    assert (choice.chosen, choice.decided_by, choice.runner_up, choice.share) == ("b", "passes", "a", None)
    assert chosen(Contender("a")).decided_by == "only-candidate"
    with pytest.raises(ValueError, match="nothing to choose"):
        chosen()


def test_who_was_not_raced_does_not_go_before_who_was() -> None:
    assert chosen(contender("raced"), Contender("not", roughly=0.001)).chosen == "raced"


some = st.builds(
    lambda ratio, wrong, error, size, rank: (ratio, wrong, error, size, rank),
    st.sampled_from([1.0, 1.005, 1.01, 1.04, 1.2]),
    st.sampled_from([0, 1, 30]),
    st.sampled_from([0.01, 0.0105, 0.05]),
    st.sampled_from([100, 101, 400]),
    st.sampled_from([0, 1]),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(some, min_size=2, max_size=4))
def test_the_chosen_one_is_never_dominated(rows: list[tuple[float, int, float, int, int]]) -> None:
    made = [
        contender(f"v{i}", ratio, rounds=20, right=answers(range(wrong)), error=error, size=size, rank=rank)
        for i, (ratio, wrong, error, size, rank) in enumerate(rows)
    ]
    choice = choose(made, MARGIN)
    by = {one.name: one for one in made}
    assert choice.ratios is not None
    cost = dict(zip(choice.raced, choice.ratios.ratio, strict=True))
    as_fast = [name for name, standing in choice.standings.items() if standing in ("leader", "as-fast")]
    assert choice.chosen in as_fast
    for name in by:
        if name != choice.chosen and (name in as_fast or cost[name] <= cost[choice.chosen]):
            assert not dominates(by[name], by[choice.chosen], MARGIN)
