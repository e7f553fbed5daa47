"""Planted faults do what they say, and nothing else in their networks depends on N."""

from __future__ import annotations

import numpy as np
import pytest

from isobatch.models.planted import FAULTS, RESNET50, Fault, find_fault
from isobatch.models.planted.networks import open_innocent, open_planted, pixels
from tests.models.pytorch.small_networks import watched

SMALL = [fault for fault in FAULTS if fault.network != RESNET50]
faults = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
COUNT = 4


@pytest.mark.parametrize("fault", SMALL, ids=lambda fault: fault.name)
def test_only_the_planted_layer_depends_on_n(fault: Fault) -> None:
    images = pixels(COUNT, seed=1)
    with open_planted(fault, threads=2, seed=1) as runner:
        seen = watched(runner, images)
        assert fault.layer in seen
        for name, (_, inputs, outputs) in seen.items():
            rows = [runner.replay(name, tuple(part[i : i + 1] for part in inputs))[0] for i in range(COUNT)]
            if name != fault.layer:
                assert np.concatenate(rows).tobytes() == outputs[0].tobytes(), name


@faults
def test_a_fault_names_what_must_be_found(fault: Fault) -> None:
    assert fault.mechanism or fault.trigger
    assert find_fault(fault.name) is fault
    assert "\n" not in fault.summary


def test_one_ulp_is_one() -> None:
    fault = find_fault("one-ulp")
    with open_planted(fault, threads=1, seed=0) as runner:
        _, inputs, outputs = watched(runner, pixels(2, seed=0))[fault.layer]
        single = runner.replay(fault.layer, (inputs[0][:1],))[0][0]
    assert outputs[0][0, 0] == np.nextafter(single[0], np.float32(np.inf))
    assert (outputs[0][0, 1:] == single[1:]).all()


def test_the_fault_of_threads_needs_several() -> None:
    fault = find_fault("threads")
    for threads, differs in ((1, False), (2, True)):
        with open_planted(fault, threads=threads, seed=0) as runner:
            _, inputs, outputs = watched(runner, pixels(2, seed=0))[fault.layer]
            single = runner.replay(fault.layer, (inputs[0][:1],))[0]
        assert (single.tobytes() != outputs[0][:1].tobytes()) is differs


def test_clipping_keeps_exact_what_fits_into_16_bits() -> None:
    fault = find_fault("saturation")
    with open_planted(fault, threads=1, seed=0) as runner:
        watched(runner, pixels(2, seed=0))
        tame = runner.crafted(fault.layer, 2, 0, "tame")  # type: ignore[attr-defined]
        extremes = runner.crafted(fault.layer, 2, 0, "extremes")  # type: ignore[attr-defined]
    assert (tame.singles == tame.batched).all()
    assert (extremes.singles != extremes.batched).any()


def test_innocent_networks_differ_from_one_another_and_keep_rows_apart() -> None:
    kinds = set()
    for seed in range(6):
        images = pixels(3, seed)
        with open_innocent(threads=1, seed=seed) as runner:
            singles = np.concatenate([runner.run(images[i : i + 1]) for i in range(3)])
            assert singles.tobytes() == runner.run(images).tobytes()
            assert len(np.unique(singles, axis=0)) == 3
            kinds.add(tuple(layer.signature for layer, *_ in watched(runner, images[:2]).values()))
    assert len(kinds) == 6


def test_an_unknown_fault_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="did you mean 'one-ulp'"):
        find_fault("one-ulps")
