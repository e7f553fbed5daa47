"""Before a ladder is climbed: networks that mix images or draw are told from those that a shape repairs."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from isobatch.models.ort.runner import OrtRunner
from isobatch.models.spec.words import RunnerSettings
from isobatch.models.user_networks import open_network
from isobatch.pipeline.repair.in_worker import why_no_shape_repairs
from isobatch.pipeline.user.asked import Examples
from tests.models.ort.mixing_onnx import GRAPHS
from tests.models.ort.small_onnx import build, classifier, request
from tests.models.pytorch.mixing_networks import NETWORKS
from tests.models.pytorch.small_networks import OneUlpWhenBatched, pixels, seeded, with_planted


def why(network: Any, side: int = 16) -> str:
    with open_network(network, 1) as runner:
        return why_no_shape_repairs(runner, Examples("noise", pixels(3, side=side)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_mix_or_draw_are_refused_and_their_twins_are_not(name: str) -> None:
    expected = GRAPHS[name].mechanism.replace("different-branch", "")  # a shape repairs that
    assert why(GRAPHS[name].model, 8).partition(":")[0] == expected
    assert why(GRAPHS[name].twin, 8) == ""


@pytest.mark.parametrize("name", ["mean", "max", "time", "norm", "counter"])
def test_networks_that_mix_or_remember_are_refused(name: str) -> None:
    expected = "not-repeatable" if name == "counter" else "neighbour-leak"
    assert why(seeded(NETWORKS[name].make)).partition(":")[0] == expected


def test_a_kernel_that_depends_on_n_and_a_dynamic_scale_may_be_repaired(tmp_path: Path) -> None:
    assert why(with_planted(OneUlpWhenBatched()).eval()) == ""
    assert why(nn.Sequential(nn.Flatten(), nn.ReLU()).eval()) == ""
    artifact = build("ort-int8-dynamic", request(tmp_path, classifier(), calibration=pixels(4)), tmp_path)
    with OrtRunner(artifact, RunnerSettings(1)) as runner:
        assert why_no_shape_repairs(runner, Examples("noise", pixels(3))) == ""
