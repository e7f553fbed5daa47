import math
from typing import Any

import pytest

from isobatch.reports.blocks import Details, Table
from isobatch.reports.facts_in_words import facts, in_words
from isobatch.reports.sections import environment, recipes
from tests.reports.studies import full


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "not set"),
        (True, "yes"),
        (False, "no"),
        (42069, "42069"),
        (60.0, "60"),
        (0.00392156862745098, "0.00392157"),
        (math.inf, "inf"),
        ("auto", "auto"),
        ([], "none"),
        (["native"], "native"),
        (["native", "avx2"], "native, avx2"),
        ([2, 3, 4, 8, 16], "2 to 4, 8 and 16"),
        ([256, 224], "256, 224"),
        ([64, 128], "64, 128"),
        ([0.5, None], "0.5, not set"),
        ([{"tf32": "on", "benchmark": False}], "tf32: on; benchmark: no"),
        ({"stability": None, "objective": "throughput"}, "objective: throughput"),
        ({"mean": None, "std": None}, "not set"),
        ({}, "not set"),
    ],
)
def test_a_stored_value_is_said_in_words(value: Any, words: str) -> None:
    assert in_words(value) == words


def test_facts_of_a_group_carry_its_name() -> None:
    recipe = {"weights": {"type": "int8", "symmetric": True}, "opset": 20, "axes": ["n", "height"], "group": None}
    assert list(facts(recipe)) == [
        "weights.type: int8",
        "weights.symmetric: yes",
        "opset: 20",
        "axes: n, height",
        "group: not set",
    ]


def test_neither_settings_nor_recipes_are_shown_as_python_writes_them() -> None:
    config = {"images": None, "isa": ["native"], "repair": True, "policy": {"stability": None}, "cuda": []}
    recipe = {"free_axes": ["n"], "weights": {"symmetric": True}, "group": None}
    study = full()
    study = study.model_copy(
        update={
            "config": config,
            "variants": [variant.model_copy(update={"recipe": recipe}) for variant in study.variants],
        }
    )
    details = environment.blocks(study)[-1]
    assert isinstance(details, Details)
    settings = details.blocks[-1]
    assert isinstance(settings, Table) and dict(settings.rows) == {
        "images": "not set",
        "isa": "native",
        "repair": "yes",
        "policy": "not set",
        "cuda": "none",
    }
    made = recipes.blocks(study)[0]
    assert isinstance(made, Table)
    assert {row[4] for row in made.rows} == {"free_axes: n; weights.symmetric: yes; group: not set"}
