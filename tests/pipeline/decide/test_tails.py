import pytest

from isobatch.pipeline.decide.tails import call_time, upper


@pytest.mark.parametrize(
    ("n", "share", "rank"),
    [
        (58, 0.95, None),  # 0.95**58 = 0.051
        (59, 0.95, 59),  # 0.95**59 = 0.0485
        (93, 0.95, 92),
        (298, 0.99, None),
        (299, 0.99, 299),
        (4, 0.5, None),  # 1 - 0.5**4 = 0.9375
        (5, 0.5, 5),
        (10, 0.5, 9),  # P(Binomial(10, 1/2) < 9) = 0.989, < 8: 0.945
    ],
)
def test_ranks_of_the_distribution_free_limits(n: int, share: float, rank: int | None) -> None:
    assert upper(range(1, n + 1), share).upper95 == rank


def test_percentiles_are_undecided_where_their_limit_is() -> None:
    few = call_time([0.010, 0.011, 0.012, 0.013, 0.020])
    assert few is not None and (few.n, few.median.value, few.median.upper95) == (
        5,
        pytest.approx(12),
        pytest.approx(20),
    )
    assert (few.p95.value, few.p95.upper95, few.p99.value, few.p99.upper95) == (None, None, None, None)
    many = call_time([k / 1000 for k in range(1, 301)])
    assert many is not None and many.p99.value == pytest.approx(297.01) and many.p99.upper95 == pytest.approx(300)
    assert call_time([]) is None
