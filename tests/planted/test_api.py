"""Every planted network and its twin through the Python interface, on tiny inputs."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from isobatch.models.pytorch.runner import torch_threads
from isobatch.pipeline import CannotRepair, compare_batch_invariance, make_batch_invariant
from isobatch.pipeline.testing import assert_batch_invariant
from tests.models.pytorch.mixing_networks import NETWORKS
from tests.models.pytorch.small_networks import pixels, seeded
from tests.planted.table import INPUTS, TABLE, Truth


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that a loaded machine costs no more than its share."""
    with torch_threads(1):
        yield


def test_every_innocent_network_has_a_faulty_twin() -> None:
    names = [truth.name for truth in TABLE]
    assert len({*names}) == len(names)
    assert all(truth.twin in names for truth in TABLE if truth.verdict == "batch-invariant")


@pytest.mark.parametrize("truth", TABLE, ids=lambda truth: truth.name)
def test_the_verdict_the_layer_and_the_repair_are_the_true_ones(truth: Truth) -> None:
    network, inputs = seeded(truth.make), INPUTS[truth.inputs]()
    found = compare_batch_invariance(network, inputs)
    assert found.verdict == truth.verdict, str(found)
    if truth.verdict == "batch-invariant":
        assert_batch_invariant(network, inputs)
        assert made(network, inputs).repair.name == "native"
        return
    with pytest.raises(AssertionError) as raised:
        assert_batch_invariant(network, inputs)
    if truth.layer:
        assert f"; it starts in {truth.layer}" in str(raised.value)
    else:
        assert truth.verdict in ("batch-variant", str(raised.value).partition(":")[0])
    if truth.repairable:
        repaired = made(network, inputs)
        assert repaired.repair.name in ("surgical", "pin-shape")
        assert repaired.verified.batch_invariant and compare_batch_invariance(repaired.network, inputs).batch_invariant
    else:
        word = {"batch-variant": "neighbour-leak"}.get(truth.verdict, truth.verdict)
        with pytest.raises(CannotRepair, match=f"^{word}: "):
            made(network, inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_mix_branch_or_remember_are_named_and_their_twins_never(name: str) -> None:
    planted, images = NETWORKS[name], pixels(8)
    found = compare_batch_invariance(seeded(planted.make), images)
    again = planted.mechanism == "not-repeatable"
    assert found.verdict == ("not-repeatable" if again else "batch-variant"), str(found)
    with pytest.raises(
        AssertionError, match="^not-repeatable: " if again else f"; it starts in {re.escape(planted.layer)} "
    ):
        assert_batch_invariant(seeded(planted.make), images)
    accused = "batch-variant", "not-repeatable"
    assert compare_batch_invariance(seeded(planted.twin), images).verdict not in accused


def made(network: torch.nn.Module, inputs: Any) -> Any:
    return make_batch_invariant(network, inputs, seconds=3600)  # what holds must not depend on the load
