"""What a report holds of a repair is read in the forms in which it was ever written, and written in the shortest."""

from typing import Any

import pytest

from isobatch.pipeline.records.study import Delivery

LAYERS = {"fc": {"size": 4, "up_to": 0, "least": 1}}


@pytest.mark.parametrize(
    ("change", "serving", "written"),
    [
        ({}, {}, ({}, {})),
        ({"canonical": LAYERS}, {}, ({"canonical": LAYERS}, {})),
        ({"scales": "static", "examples": 8}, {}, ({"scales": "static", "examples": 8}, {})),
        ({"scales": "static", "examples": 1}, {}, ({"scales": "static"}, {})),
        ({"recheck": 0.0}, {}, ({"recheck": 0.0}, {})),
        ({"switches": {"deterministic_algorithms": True}}, {}, ({"switches": {"deterministic_algorithms": True}}, {})),
        ({"one_graph": True}, {"threads": 1, "streams": 2}, ({"one_graph": True}, {"threads": 1, "streams": 2})),
        ({}, {"threads": 0, "streams": 1}, ({}, {})),
    ],
)
def test_a_delivery_keeps_its_form(change: Any, serving: Any, written: tuple[Any, Any]) -> None:
    delivery = Delivery.model_validate({"inputs": "seed", "change": change, "serving": serving})
    said = delivery.model_dump(mode="json")
    assert Delivery.model_validate(said) == delivery
    assert said["inputs"] == "seed" and (said["change"], said["serving"]) == written
