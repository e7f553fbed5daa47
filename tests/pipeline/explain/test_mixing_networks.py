"""Networks that mix images, branch, remember or draw: named at the right layer for the right reason, twins never."""

import pytest
from torch import nn

from isobatch.models.user_networks import open_network
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.origins import explain_origins
from tests.models.pytorch.mixing_networks import NETWORKS, Own
from tests.models.pytorch.small_networks import OneUlpWhenBatched, pixels, seeded

SIZES = [2, 3, 4, 7, 8]


def looked_into(net: nn.Module) -> tuple[Located, dict[str, Explanation]]:
    images = pixels(8)
    with open_network(net, 1) as runner:
        located = locate(runner, images, SIZES, 0)  # type: ignore[arg-type]
        return located, explain_origins(runner, located, images, 1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layer_that_is_to_blame_is_named_with_its_cause(name: str) -> None:
    planted = NETWORKS[name]
    located, explained = looked_into(seeded(planted.make))
    named = {origin.layer.name: explained[origin.layer.name].mechanism for origin in located.origins}
    assert named == {planted.layer: planted.mechanism}
    assert located.instrumented_bitwise_equal or planted.mechanism == "not-repeatable"


@pytest.mark.parametrize("name", NETWORKS)
def test_its_innocent_twin_is_not_accused(name: str) -> None:
    located, _ = looked_into(seeded(NETWORKS[name].twin))
    assert located.origins == []


def test_a_branch_is_named_at_the_n_where_it_is_taken() -> None:
    located, explained = looked_into(seeded(NETWORKS["branch"].make))
    (origin,) = located.origins
    assert origin.batch_sizes == [7, 8] and origin.classes == [[1, 2, 3, 4], [7, 8]]
    finding = next(finding for finding in explained["forward()"].causes if finding.name == "different-branch")
    assert finding.evidence.startswith("From N = 7 on: ")


def test_a_leak_is_found_behind_another_origin_and_named_before_it() -> None:
    """The small difference of one layer does not account for rows that follow their neighbours."""
    net = nn.Sequential(OneUlpWhenBatched(), Own(lambda net, x: x + x[:1]))
    located, explained = looked_into(net.eval())
    assert [origin.layer.name for origin in located.origins] == ["1", "0"]
    assert explained["1"].mechanism == "neighbour-leak"
    assert explained["0"].mechanism != "neighbour-leak"
