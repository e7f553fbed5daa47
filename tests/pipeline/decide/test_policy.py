from typing import Any

import pytest

from isobatch.pipeline.decide.policy import describe, obstacles, price
from isobatch.pipeline.records.study import Policy, VariantResult
from tests.pipeline.results import agreed, result


@pytest.mark.parametrize(
    ("variant", "policy", "says"),
    [
        (result("v"), {}, []),
        (result("v", "top1-stable"), {"stability": "top1-stable"}, []),
        (result("v", "batch-variant"), {"stability": "none"}, []),
        (
            result("v", "top1-stable"),
            {},
            ["top1-stable, where the policy asks for batch-invariant (on seed, what v did)"],
        ),
        (result("v", "invalid"), {"stability": "none"}, ["invalid on seed: What v did."]),
        (result("v", "not-repeatable"), {"stability": "none"}, ["not-repeatable on seed: What v did."]),
        (result("v", None), {"stability": "none"}, ["no verdict: nothing was compared"]),
        (result("v", role="reference"), {}, ["the reference for numeric error, never a candidate"]),
        (
            result("v", None, status="unavailable", reason="no AMX", remedy="another machine"),
            {},
            ["unavailable: no AMX (another machine)"],
        ),
        (result("v", None, status="failed", reason="out of memory"), {}, ["failed: out of memory"]),
        (
            result("v", accuracy_note="no labels"),
            {"max_accuracy_drop": 2.0},
            ["accuracy unknown against the limit of 2 points: no labels"],
        ),
        (result("v", discordant=(0, 0, 400)), {"max_accuracy_drop": 2.0}, []),
        (
            result("v", discordant=(40, 0, 400)),
            {"max_accuracy_drop": 2.0},
            ["accuracy drop beyond the limit of 2 points (10 points, 95 % bound 13.37 points, 400 images)"],
        ),
        (
            result("v", discordant=(0, 0, 100)),
            {"max_accuracy_drop": 2.0},
            [
                "accuracy drop undecided against the limit of 2 points (0 points, 95 % bound 3.63 points, 100 images); "
                "about 183 images would decide at these rates"
            ],
        ),
        (
            result("v", discordant=(8, 0, 400)),
            {"max_accuracy_drop": 2.0},
            [
                "accuracy drop undecided against the limit of 2 points (2 points, 95 % bound 3.91 points, 400 images); "
                "no feasible number of images would decide at these rates"
            ],
        ),
        (
            result("v", discordant=(100, 0, 168)),  # no limit asked for, few labels: certain all the same
            {},
            [
                "accuracy drop beyond the limit of 2 points that holds where none is set "
                "(59.5 points, 95 % bound 67.02 points, 168 images)"
            ],
        ),
        (result("v", discordant=(3, 0, 168)), {}, []),  # undecided, and no limit asked for
        (result("v", baseline=True, discordant=(0, 0, 100)), {"max_accuracy_drop": 2.0}, []),
        (result("v", baseline=True), {"max_accuracy_drop": 2.0}, []),
        (
            result("v", agreement=agreed(3, 16)),
            {},
            ["agrees with fp64 on 3 of 16 images, at most 42 % (16 answers), where 90 % are demanded"],
        ),
        (result("v", agreement=agreed(16, 16)), {}, []),  # undecided: at least 82 %, still a candidate
        (result("v", agreement=agreed(3, 16)), {"min_agreement": 10.0}, []),
        (result("v", agreement=agreed(300, 400), discordant=(0, 0, 400)), {"max_accuracy_drop": 2.0}, []),
        (
            result("v", agreement_note="these were not compared"),
            {},
            ["agreement with the reference unknown: these were not compared"],
        ),
        (result("v"), {"max_size_mb": 99.0}, ["size 100 MB above the limit of 99 MB"]),
        (
            result("v", cost=None),
            {"max_size_mb": 9.0},
            ["size not measured", "throughput not measured"],
        ),
    ],
)
def test_what_stands_in_the_way(variant: VariantResult, policy: dict[str, Any], says: list[str]) -> None:
    assert obstacles(variant, Policy(**policy)) == says


@pytest.mark.parametrize(
    ("objective", "cost", "text"),
    [
        ("throughput", 0.01, "100 (98 to 102) img/s at N = 8"),
        ("latency", 10.0, "10 (9.8 to 10.2) ms for one image"),
        ("size", 100e6, "100 MB"),
    ],
)
def test_the_price_under_each_objective(objective: Any, cost: float, text: str) -> None:
    paid = price(result("v").cost, Policy(objective=objective))
    assert paid is not None
    assert paid.cost == pytest.approx(cost)
    assert paid.text == text


def test_the_price_of_an_n_that_the_limit_on_latency_closes_is_not_told() -> None:
    paid = price(result("v").cost, Policy(max_latency_ms=50.0))  # a call of 8 images takes 80 ms
    assert paid is not None and paid.text == "50 (49 to 51) img/s at N = 1"


def test_a_price_of_one_call_says_so() -> None:
    paid = price(result("v", per_second=100, spread=None).cost, Policy())
    assert paid is not None and paid.timed_once and paid.text == "100 img/s (timed once) at N = 8"


def test_a_policy_in_words() -> None:
    policy = Policy(max_accuracy_drop=0.5, max_latency_ms=20, max_size_mb=30, objective="latency")
    assert describe(policy) == (
        "batch-invariant, accuracy drop at most 0.5 points, the reference's answer on at least 90 % of the images, "
        "at most 20 ms for a call, at most 30 MB, lowest latency"
    )
    assert describe(Policy(stability="none", min_agreement=75)) == (
        "any stability, the reference's answer on at least 75 % of the images, most images a second"
    )
