import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from isobatch.models.weights.checkpoint import WeightsError
from isobatch.models.weights.model_name import kind_of, own_code, read_name
from isobatch.models.weights.networks import architecture, check_known, refusals
from isobatch.models.weights.other_networks import timm_view
from isobatch.models.weights.resolve import resolve

SMALL = "timm:test_resnet.r160_in1k"


def test_a_name_of_timms_is_no_factory_and_its_code_is_not_shipped() -> None:
    assert kind_of(SMALL) == kind_of("timm:resnet18") == "timm"
    assert own_code("timm:resnet18[channels=1]") == "timm's"
    assert own_code("resnet18[channels=1]") is None


def test_without_timm_the_command_that_adds_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(WeightsError, match=r"need timm, which .*: make run EXTRAS=timm, or pip install"):
        check_known(SMALL)


@pytest.mark.extras
def test_a_network_of_timms_has_its_channels_classes_and_pictures(tmp_path: Path) -> None:
    net = architecture(f"{SMALL}[channels=1]", 7)
    with torch.inference_mode():
        assert net(torch.zeros(2, 1, 64, 64)).shape == (2, 7)
    assert refusals(SMALL, 7, [(64, 64)]) == [None]
    view = timm_view(read_name(SMALL))
    assert view is not None and (view.size, view.mean) == (160, (0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="did you mean 'timm:test_resnet'"):
        check_known("timm:test_reznet")
    with pytest.raises(ValueError, match=f"no weights 'r160' of 'test_resnet': give one of {SMALL}$"):
        check_known("timm:test_resnet.r160")


@pytest.mark.extras
def test_random_weights_and_a_file_of_timms_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    resolved = resolve("auto", SMALL, tmp_path / "cache", True, print)
    assert (resolved.source, resolved.num_classes, resolved.view_from) == (
        "random",
        1000,
        "timm's configuration of the model",
    )
    net = architecture(SMALL, 3)
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in net.state_dict().items()}}, tmp_path / "own.pth"
    )
    own = resolve(str(tmp_path / "own.pth"), SMALL, tmp_path / "cache", True, print)
    assert own.num_classes == 3 and "the prefix 'module.'" in own.note
    with pytest.raises(WeightsError, match="choose --weights random or a file"):
        resolve("pretrained", SMALL, tmp_path / "cache", True, print)


@pytest.mark.extras
def test_what_the_hubs_cache_holds_is_taken_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    snapshot = hub / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(snapshot.name)
    state = {key: torch.full_like(value, 0.01) for key, value in architecture(SMALL, 1000).state_dict().items()}
    save_file(state, snapshot / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for asked in ("auto", "pretrained"):
        resolved = resolve(asked, SMALL, tmp_path / "cache", True, print)
        assert (resolved.source, resolved.num_classes) == ("pretrained", 1000)
        kept = load_file(resolved.path)
        assert kept.keys() == state.keys() and all(torch.equal(kept[name], state[name]) for name in kept)
