"""Modules around the layers are looked at where repairing the layers proves nothing, and named as without a repair."""

from pathlib import Path

import pytest
from torch import nn

from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings
from isobatch.models.user_networks import open_network
from isobatch.pipeline.explain import outside_layers
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.study.inside import in_worker
from isobatch.pipeline.study.inside.crossing import LookAsked, Looked
from tests.models.pytorch.mixing_networks import NETWORKS
from tests.models.pytorch.small_networks import OneUlpWhenBatched, pixels, seeded

SIZES = (2, 3, 4, 7, 8)
MIXING = [name for name, planted in NETWORKS.items() if planted.mechanism != "not-repeatable"]  # no study explains it


def looked_into(net: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Looked:
    images = store_images("drawn", folder / "drawn", iter(pixels(8)))
    monkeypatch.setattr(in_worker, "open_runner", lambda *asked: open_network(net, 1))
    asked = LookAsked(
        "fp32",
        RunnerSettings(1),
        "native",
        Artifact("", folder, Manifest({}, 0)),
        images,
        (),
        SIZES,
        0,
        run_folder=str(folder),
        repair_s=20.0,
    )
    return in_worker._explained(asked, lambda event: None)


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_images_is_named_in_a_study_that_repairs_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = NETWORKS[name]
    looked = looked_into(seeded(planted.make), tmp_path, monkeypatch)
    origins = [(layer.layer, layer.explained) for layer in looked.findings if layer.batch_sizes]
    assert [(at, why and why.mechanism) for at, why in origins] == [(planted.layer, planted.mechanism)]


def test_nothing_around_is_looked_at_where_the_origins_are_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_layers, "most_apart", lambda *asked: pytest.fail("the network was run for it"))
    looked = looked_into(nn.Sequential(OneUlpWhenBatched()).eval(), tmp_path, monkeypatch)
    assert [layer.layer for layer in looked.findings if layer.batch_sizes] == ["0"]
    assert any(attempt.name == "surgical" and attempt.holds for attempt in looked.tried or ())
