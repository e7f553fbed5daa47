"""Every planted network and its twin through the Python interface, on tiny inputs."""

from collections.abc import Iterator

import pytest

from isobatch.models.pytorch.runner import torch_threads
from tests.planted.asked import by_interface
from tests.planted.table import TABLE, Truth


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
def test_the_verdict_the_layer_the_mechanism_and_the_repair_are_the_true_ones(truth: Truth) -> None:
    assert by_interface(truth) == truth.said
