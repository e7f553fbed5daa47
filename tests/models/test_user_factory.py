import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from isobatch.models.ort import export_own
from isobatch.models.pytorch.float import build
from isobatch.models.registry import find_variant
from isobatch.models.shared.regular_files import Altered
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Network
from isobatch.models.user_factory import FactoryError, as_the_user_has_it, code_of, made, with_one_output
from isobatch.models.user_trial import tried
from isobatch.models.weights.model_name import ModelName, read_name
from isobatch.models.weights.networks import with_state
from isobatch.models.weights.other_networks import described, own_network
from isobatch.models.weights.resolve import resolve
from isobatch.models.weights.state_dicts import WeightsError
from isobatch.pipeline.prepare import in_worker
from isobatch.pipeline.prepare.crossing import ExportAsked

NETS = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.register_buffer("drawn", torch.rand(4), persistent=False)
    def forward(self, x):
        rows = self.conv(x).mean((2, 3)) * self.drawn
        return {"rows": rows, "first": rows[:, 0], "maps": x[:, :, :2, :2]}

def two():
    return Two()

def compiled():
    return torch.compile(Two())

def scripted():
    return torch.jit.script(nn.Conv2d(3, 4, 3))

def traced():
    return torch.jit.trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 4, 4))

def table():
    return {}

def complex_weights():
    return nn.Linear(3, 2, dtype=torch.complex64)

def many_bands():
    return nn.Conv2d(200, 4, 1).eval()

def by_channel():
    return nn.Conv2d(3, 6, 3, groups=3).eval()

def of_one_size():
    return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).eval()

calls = []

def counted():
    calls.append("")
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).eval()

def rows():
    calls.append("")
    return nn.Linear(5, 2).eval()

def fails():
    raise OSError("no disk")
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of the user's that no other test has imported, in the folder that this process is in."""
    called = f"nets_{abs(hash(request.node.name))}"
    (tmp_path / f"{called}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return f"{called}:two"


def test_the_folder_is_on_the_path_for_the_call_only_and_drawn_values_are_the_same(name: str, tmp_path: Path) -> None:
    before = list(sys.path), torch.random.get_rng_state()
    one, two = made(name, str(tmp_path)), made(name, str(tmp_path))
    assert sys.path == before[0] and torch.equal(torch.random.get_rng_state(), before[1])
    assert torch.equal(one.conv.weight, two.conv.weight) and torch.equal(one.drawn, two.drawn)


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("table", "gave dict, no torch module"),
        ("fails", "raised OSError: no disk"),
        ("absent", "has no 'absent'"),
        ("complex_weights", "'weight' of its state dict is no dense tensor of real numbers"),
    ],
)
def test_what_is_no_network_is_said(name: str, attribute: str, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        described(ModelName(name.replace("two", attribute)))
    with pytest.raises(FactoryError, match="cannot be imported"):
        made("not_there_at_all:two", ".")


def test_several_outputs_stand_side_by_side_and_the_users_own_come_back(name: str, tmp_path: Path) -> None:
    net = with_one_output(made(name, str(tmp_path)).eval())
    images = torch.rand(3, 1, 8, 8)
    own = as_the_user_has_it(with_one_output(made(name, str(tmp_path)).eval()))(images)
    expected = torch.cat([own["rows"], own["first"][:, None], own["maps"].flatten(1)], dim=1)
    assert torch.equal(net(images), expected)
    assert list(net.state_dict()) == ["conv.weight", "conv.bias"]
    assert type(net) is type(with_one_output(made(name, str(tmp_path))))


def test_a_study_knows_the_code_the_channels_and_the_weights(name: str, tmp_path: Path) -> None:
    resolved = resolve("auto", name, tmp_path / "cache", True, print)
    told = read_name(resolved.model)
    assert (told.kind, told.channels, len(told.code)) == ("factory", 1, 8)
    assert (resolved.source, resolved.num_classes, resolved.view_assumed) == ("factory", None, True)
    assert [code for code, _ in resolved.warnings] == ["training-mode"]
    net = own_network(told)
    assert not net.training and np.isfinite(net.conv.weight.detach().numpy()).all()
    assert code_of(net, name, str(tmp_path)) == told.code


@pytest.mark.parametrize(("attribute", "channels"), [("many_bands", 200), ("by_channel", 3)])
def test_a_factorys_network_takes_the_channels_of_its_own_convolution(
    name: str, attribute: str, channels: int, tmp_path: Path
) -> None:
    resolved = resolve("auto", name.replace("two", attribute), tmp_path / "cache", True, print)
    assert read_name(resolved.model).channels == channels and "channel" not in resolved.note


def test_random_weights_need_a_network_that_takes_the_calibration_batch(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"224 x 224, which it does not take .* or leave --weights out"):
        resolve("random", name.replace("two", "of_one_size"), tmp_path / "cache", True, print)
    resolve("auto", name.replace("two", "of_one_size"), tmp_path / "cache", True, print)


@pytest.mark.parametrize("weights", ["auto", "random", "mine.pth"])
def test_resolving_weights_calls_the_factory_once(name: str, weights: str, tmp_path: Path) -> None:
    counted = name.replace("two", "counted")
    torch.save(made(counted, str(tmp_path)).state_dict(), "mine.pth")
    calls = sys.modules[name.partition(":")[0]].calls
    calls.clear()
    resolved = resolve(weights, counted, tmp_path / "cache", True, print)
    assert len(calls) == 1 and resolved.num_classes is None


def test_trying_several_sets_calls_the_factory_once_and_a_float_artifact_not_at_all(name: str, tmp_path: Path) -> None:
    resolved = resolve("auto", name.replace("two", "counted"), tmp_path / "cache", True, print)
    network = Network(resolved.model, resolved.path, resolved.sha256, 4)
    sets = []
    for side in (8, 12):
        np.zeros((2, 3, side, side), np.float32).tofile(f"{side}")
        sets.append(Images(str(side), str(tmp_path / f"{side}"), "float32", (2, 3, side, side), ""))
    calls = sys.modules[name.partition(":")[0]].calls
    calls.clear()
    assert [one.refusal for one in tried(network, sets)] == [None, None] and len(calls) == 1
    calls.clear()
    build(find_variant("fp32"), BuildRequest(network, None, ArtifactCache(tmp_path)), tmp_path)
    assert calls == []


def test_a_network_that_is_exported_for_arrays_is_made_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(name: str, net: torch.nn.Module, arrays: object, path: Path, instead: object) -> str:
        path.write_text(str(net(torch.ones(1, 5)).tolist()))
        return ""

    monkeypatch.setattr(export_own, "_export", written)
    monkeypatch.setattr(in_worker, "arrays_beside_labels", lambda path: {"x": np.zeros((3, 5), np.float32)})
    model, cache = name.replace("two", "rows"), str(tmp_path / "cache")
    expected = str(made(model, str(tmp_path))(torch.ones(1, 5)).tolist())
    calls = sys.modules[name.partition(":")[0]].calls
    calls.clear()
    graph = in_worker.export_own(ExportAsked(model=model, cache=cache).to_json(), lambda event: None)
    assert graph is not None and Path(graph).read_text() == expected and len(calls) == 1


def test_other_code_is_another_network(name: str, tmp_path: Path) -> None:
    told = read_name(resolve("auto", name, tmp_path / "cache", True, print).model)
    file = tmp_path / f"{name.partition(':')[0]}.py"
    file.write_text(NETS.replace("mean((2, 3))", "amax((2, 3))"))
    with pytest.raises(Altered, match="run again with --fresh"):
        own_network(told)


def test_weights_of_a_file_go_into_the_factorys_network(name: str, tmp_path: Path) -> None:
    state = {f"module.{key}": value + 1 for key, value in made(name, str(tmp_path)).state_dict().items()}
    torch.save(state, tmp_path / "mine.pth")
    resolved = resolve(str(tmp_path / "mine.pth"), name, tmp_path / "cache", True, print)
    assert resolved.source == "mine.pth" and "the prefix 'module.'" in resolved.note
    with pytest.raises(WeightsError, match="is torchvision's"):
        resolve("imagenet-v1", name, tmp_path / "cache", True, print)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of its own TorchScript
def test_a_traced_network_is_run_as_the_user_has_it(name: str, tmp_path: Path) -> None:
    net = own_network(described(ModelName(name.replace("two", "traced")))[0])
    assert as_the_user_has_it(net)(torch.zeros(1, 3, 4, 4)).shape == (1, 4, 2, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of its own TorchScript
@pytest.mark.parametrize("attribute", ["compiled", "scripted", "traced"])
def test_what_a_compiler_gives_is_stored_by_the_names_of_the_module_inside(name: str, attribute: str) -> None:
    called, net = described(ModelName(name.replace("two", attribute)))
    assert not any("_orig_mod" in key for key in net.state_dict())
    again = with_state(own_network(called), net.state_dict())
    assert not any(parameter.requires_grad for parameter in again.parameters())
