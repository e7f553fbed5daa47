"""Metrics, classes of N, the margin screen, intervals and the schema against slow and obvious twins, on drawn data."""

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import jsonschema
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from isobatch.pipeline.compare.batch_classes import classes_of
from isobatch.pipeline.compare.margins import Observation, margin_screen
from isobatch.pipeline.compare.metrics import measure_all
from isobatch.pipeline.compare.metrics.allclose import ATOL, RTOL
from isobatch.pipeline.compare.metrics.difference import POINTS
from isobatch.pipeline.compare.metrics.ulp import TINY
from isobatch.pipeline.compare.statistics import (
    drop_decision,
    drop_lower,
    drop_upper,
    median_interval,
    rate_lower,
    rate_upper,
)
from isobatch.pipeline.records.study import Condition, Study
from isobatch.reports.files.json_report import SCHEMA_FILE, study_json

SHORT, FULL = 40, 2_000
FLOATS = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)
Pair = tuple[NDArray[Any], NDArray[Any]]
Check = Callable[[st.DataObject], None]

WIDE = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 4e-3, 5e-4, 1e-7, -1e-40, 6e4, 1e30, math.inf, -math.inf, math.nan]
)
NEAR = st.floats(-4, 4, allow_nan=False, width=32)
ANY = WIDE | NEAR


def tried(check: Check, full: bool) -> None:
    """Let hypothesis draw for ``check``: the same data every time, more of it in a full campaign."""

    @settings(
        max_examples=FULL if full else SHORT,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check(data)

    run()


def a_pair(
    data: st.DataObject, kinds: tuple[Any, ...] = FLOATS, values: st.SearchStrategy[float] = WIDE | NEAR
) -> Pair:
    """Two arrays [n, classes] of one type, about half of their elements equal."""
    n, classes, kind = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 7)), data.draw(st.sampled_from(kinds))
    drawn = st.lists(values, min_size=n * classes, max_size=n * classes)
    kept = data.draw(st.lists(st.booleans(), min_size=n * classes, max_size=n * classes))
    with np.errstate(over="ignore", under="ignore"):
        first, second = (np.array(data.draw(drawn)).astype(kind).reshape(n, classes) for _ in range(2))
    return first, np.where(np.array(kept).reshape(n, classes), first, second)


def elements(pair: Pair) -> list[tuple[Any, Any]]:
    return list(zip(pair[0].ravel(), pair[1].ravel(), strict=True))


def apart(one: Any, other: Any) -> float:
    """|other - one| of two elements: 0 where bytes or values are equal, NaN where only NaN can be said."""
    if one.tobytes() == other.tobytes() or float(one) == float(other):
        return 0.0
    return abs(float(other) - float(one))


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def counts_and_differences(data: st.DataObject) -> None:
    pair = a_pair(data)
    measures: Any = measure_all(*pair)
    equal = [one.tobytes() == other.tobytes() for one, other in elements(pair)]
    rows = [pair[0][i].tobytes() == pair[1][i].tobytes() for i in range(len(pair[0]))]
    assert measures["n_elements"] == len(equal) and measures["n_elements_differing"] == equal.count(False)
    assert measures["n_images_equal"] == rows.count(True) and measures["bitwise_equal"] is all(equal)
    distances = sorted(apart(*both) for both in elements(pair))
    if any(math.isnan(distance) for distance in distances):
        assert math.isnan(measures["max_abs"]) and all(math.isnan(one) for one in measures["percentiles"].values())
        assert not measures["allclose"]
        return
    assert measures["max_abs"] == distances[-1]
    for point in POINTS:
        place = point / 100 * (len(distances) - 1)
        low, high = distances[math.floor(place)], distances[math.ceil(place)]
        assert low <= measures["percentiles"][f"p{point}"] <= high
        if math.isfinite(high) and place != math.floor(place):
            expected = low + (high - low) * (place - math.floor(place))
            assert measures["percentiles"][f"p{point}"] == pytest.approx(expected, rel=1e-12, abs=1e-300)
    close = [
        apart(one, other) == 0 or (math.isfinite(float(one)) and apart(one, other) <= ATOL + RTOL * abs(float(one)))
        for one, other in elements(pair)
    ]
    assert measures["allclose"] is all(close)


def errors_against_the_signal(data: st.DataObject) -> None:
    first, second = a_pair(data, values=NEAR)
    measures: Any = measure_all(first, second)
    one, other = first.astype(np.float64), second.astype(np.float64)
    noise = math.sqrt(math.fsum(((other - one) ** 2).ravel()))
    signal = math.sqrt(math.fsum((one**2).ravel()))
    if noise == 0:
        assert (measures["relative_l2"], measures["sqnr_db"]) == (0.0, math.inf)
    elif signal == 0:
        assert (measures["relative_l2"], measures["sqnr_db"]) == (math.inf, -math.inf)
    else:
        assert measures["relative_l2"] == pytest.approx(noise / signal, rel=1e-9)
        assert measures["sqnr_db"] == pytest.approx(-20 * math.log10(noise / signal), abs=1e-6)
    cosines = []
    for row, rival in zip(one, other, strict=True):
        lengths = math.hypot(*row) * math.hypot(*rival)
        dot = math.fsum(a * b for a, b in zip(row, rival, strict=True))
        cosines.append(1.0 if (row == rival).all() else dot / lengths if lengths else math.nan)
    expected = math.nan if any(map(math.isnan, cosines)) else min(cosines)
    assert (
        math.isnan(measures["cosine_min"])
        if math.isnan(expected)
        else measures["cosine_min"] == pytest.approx(expected)
    )


HALVES = sorted(
    (struct.unpack("<e", struct.pack("<H", code))[0], code) for code in range(1 << 16) if code & 0x7C00 != 0x7C00
)
PLACE = {value: place for place, value in enumerate(dict.fromkeys(value for value, _ in HALVES))}
"""Every finite float16 by its place in their order; the two zeros share one."""


def steps_between_halves(data: st.DataObject) -> None:
    first, second = a_pair(data, (np.float16,))
    measures: Any = measure_all(first, second)
    worst, excluded = 0.0, 0
    for row, rivals in zip(first, second, strict=True):
        largest = max((abs(float(value)) for value in row if np.isfinite(value)), default=0.0)
        for one, other in zip(row, rivals, strict=True):
            if one.tobytes() == other.tobytes() or math.isnan(worst):
                continue
            if np.isnan(one) or np.isnan(other):
                worst = math.nan
            elif max(abs(float(one)), abs(float(other))) < TINY * largest:
                excluded += 1
            elif np.isinf(one) or np.isinf(other):
                worst = math.inf
            else:
                worst = max(worst, float(abs(PLACE[float(one)] - PLACE[float(other)])))
    assert same(measures["max_ulp"], worst)
    if not math.isnan(worst):
        assert measures["n_ulp_excluded"] == excluded


def changes_of_the_best(data: st.DataObject) -> None:
    pair = a_pair(data)
    measures: Any = measure_all(*pair)

    def order(row: Any) -> list[int]:
        values = [math.inf if math.isnan(float(value)) else float(value) for value in row]
        return sorted(range(len(row)), key=lambda at: (-values[at], at))

    flips = sum(order(one)[0] != order(other)[0] for one, other in zip(*pair, strict=True))
    changes = sum(set(order(one)[:5]) != set(order(other)[:5]) for one, other in zip(*pair, strict=True))
    assert (measures["top1_flips"], measures["top5_changes"]) == (flips, changes)
    assert measures["top1_flip_upper95"] == pytest.approx(upper_by_bisection(flips, len(pair[0]), 0.05), abs=1e-9)


def classes_of_batch_sizes(data: st.DataObject) -> None:
    """In a class every two agree; no class could have taken in a size that came after it and agreed with all of it."""
    n, images = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 5))
    marks = st.lists(st.sampled_from([b"", b"a", b"b"]), min_size=images, max_size=images)
    digests = {size: np.array(data.draw(marks), dtype="S1") for size in range(1, n + 1)}
    classes = classes_of(digests)

    def agree(one: int, other: int) -> bool:
        shared = [(a, b) for a, b in zip(digests[one], digests[other], strict=True) if a and b]
        if shared:
            return all(a == b for a, b in shared)
        seen = [[(a, b) for a, b in zip(digests[n], digests[1], strict=True) if a] for n in (one, other)]
        return all(bool(pairs) and all(a == b for a, b in pairs) for pairs in seen)

    assert sorted(size for one in classes for size in one) == sorted(digests)
    assert classes == sorted(sorted(one) for one in classes)
    for one in classes:
        assert all(agree(a, b) for a in one for b in one if a != b)
    for one in classes:
        for other in classes:
            if one is not other and all(agree(a, b) for a in one for b in other):
                raise AssertionError(f"{one} and {other} agree and were kept apart")


def the_margin_screen(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    rows = [np.array(data.draw(st.lists(NEAR, min_size=3 * n, max_size=3 * n))).reshape(n, 3) for _ in range(2)]
    noises = [np.array(data.draw(st.lists(st.floats(0, 2), min_size=n, max_size=n))) for _ in range(2)]
    nothing = np.zeros(n, dtype=np.bool_)
    images, at = np.arange(n), Condition(threads=1, image_size=8)
    seen = [Observation(at, 2, images, nothing, nothing, nothing, noise) for noise in noises]
    screen = margin_screen([(images, each) for each in rows], seen)
    exposed = []
    for image in range(n):
        margin = min(sorted(each[image])[-1] - sorted(each[image])[-2] for each in rows)
        others = max((noise[i] for noise in noises for i in range(n) if i != image), default=math.inf)
        if not margin > 2 * others:
            exposed.append(image)
    assert screen.exposed_images == exposed
    assert screen.observed_noise == max(noise.max() for noise in noises)
    assert screen.screened_share == pytest.approx(1 - len(exposed) / n)


def at_most(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k), term by term."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def upper_by_bisection(k: int, n: int, alpha: float) -> float:
    """The rate at which so few events have probability alpha."""
    low, high = 0.0, 1.0
    if k == n:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(k, n, middle) > alpha else (low, middle)
    return (low + high) / 2


def intervals(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 60))
    k, alpha = data.draw(st.integers(0, n)), data.draw(st.sampled_from([0.5, 0.05, 0.025, 0.001]))
    assert rate_upper(k, n, alpha) == pytest.approx(upper_by_bisection(k, n, alpha), abs=1e-9)
    assert rate_lower(k, n, alpha) == pytest.approx(1 - upper_by_bisection(n - k, n, alpha), abs=1e-9)
    b = data.draw(st.integers(0, k))
    upper = upper_by_bisection(b, n, 0.025) - (1 - upper_by_bisection(n - (k - b), n, 0.025))
    assert drop_upper(b, k - b, n) == pytest.approx(upper, abs=1e-9)
    limit = data.draw(st.floats(-0.2, 0.5))
    low, high = drop_lower(b, k - b, n), drop_upper(b, k - b, n)
    assert low <= (2 * b - k) / n <= high
    assert drop_decision(b, k - b, n, limit) == ("met" if high <= limit else "not-met" if low > limit else "undecided")
    samples = data.draw(st.lists(st.floats(1e-3, 1e3), min_size=6, max_size=40))
    interval, ordered = median_interval(samples), sorted(samples)
    rank = max(r for r in range(len(samples) // 2) if r == 0 or 2 * at_most(r, len(samples), 0.5) <= 0.05)
    assert (interval.low95, interval.high95) == (ordered[rank], ordered[-1 - rank])


SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def fitting(schema: dict[str, Any], data: st.DataObject, depth: int = 0) -> Any:
    """A value that the schema allows, drawn from all it allows."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        return fitting(data.draw(st.sampled_from(schema["anyOf"])), data, depth)
    if "enum" in schema:
        return data.draw(st.sampled_from(schema["enum"]))
    match schema.get("type"):
        case "object":
            values = {}
            for name, part in schema.get("properties", {}).items():
                if name in schema.get("required", ()) or data.draw(st.booleans()):
                    values[name] = fitting(part, data, depth + 1)
            if isinstance(free := schema.get("additionalProperties"), dict):
                for name in data.draw(st.lists(st.text(max_size=4), max_size=2)):
                    values[name] = fitting(free, data, depth + 1)
            return values
        case "array":
            many = data.draw(st.integers(0, 1 if depth > 2 else 2))
            return [fitting(schema.get("items", {}), data, depth + 1) for _ in range(many)]
        case "string":
            return data.draw(st.text(max_size=6))
        case "integer":
            return data.draw(st.integers(schema.get("minimum", -(2**40)), 2**40))
        case "number":
            return data.draw(st.floats(allow_nan=False, allow_infinity=False))
        case "boolean":
            return data.draw(st.booleans())
        case "null":
            return None
    return data.draw(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4))


VALID = jsonschema.Draft202012Validator(SCHEMA)


def the_schema(data: st.DataObject) -> None:
    """What the schema allows is read, written and read again without loss; and what is written, the schema allows."""
    drawn = fitting(SCHEMA, data) | {"schema_version": 1}
    text = study_json(Study.model_validate(drawn))
    again = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    VALID.validate(again)
    assert study_json(Study.model_validate(again)) == text
    assert_kept(drawn, again)


def assert_kept(drawn: Any, again: Any) -> None:
    """Every drawn value is in what was written; keys left out were given their defaults."""
    if isinstance(drawn, dict):
        for name, value in drawn.items():
            assert_kept(value, again[name])
    elif isinstance(drawn, list):
        assert len(drawn) == len(again)
        for one, other in zip(drawn, again, strict=True):
            assert_kept(one, other)
    else:
        assert drawn == again and isinstance(drawn, bool) is isinstance(again, bool)


CHECKS: tuple[Check, ...] = (
    counts_and_differences,
    errors_against_the_signal,
    steps_between_halves,
    changes_of_the_best,
    classes_of_batch_sizes,
    the_margin_screen,
    intervals,
    the_schema,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_property_holds_on_drawn_data(check: Check, full: bool) -> None:
    tried(check, full)
