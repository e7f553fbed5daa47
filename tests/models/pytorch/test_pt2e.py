import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isobatch.models.pytorch import pt2e as torch_pt2e
from isobatch.models.pytorch.pt2e import LoweredPerShape, build, integer_layers, load_network, open_runner
from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.runner import Quantized
from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings, VariantUnavailable

SPEC = find_variant("int8-pt2e")
Built = Callable[[str], Artifact]
# Python says this of torchao where it is imported for the first time, and so compiled.
COMPILED = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


def test_without_torchao_the_variant_is_unavailable(
    resnet18_request: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    command = r"\(pip install -c requirements.txt torchao==0\.18\.0\)"
    with pytest.raises(VariantUnavailable, match=f"torchao is not installed {command}"):
        build(SPEC, resnet18_request, tmp_path)


def test_a_graph_without_integer_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isobatch.models.pytorch.pt2e._lowering", lambda: lambda graph, example: graph)
    float_graph = torch.fx.symbolic_trace(torch.nn.Linear(3, 2))
    with pytest.raises(RuntimeError, match=r"lowering for \[4, 3\] left no integer kernel"):
        LoweredPerShape(float_graph)(torch.zeros(4, 3))


@pytest.mark.extras
@COMPILED
def test_every_shape_runs_on_integer_kernels(resnet18_artifact: Built, images5: np.ndarray) -> None:
    artifact = resnet18_artifact("int8-pt2e")
    assert {path.suffix for path in artifact.folder.iterdir()} == {".json", ".safetensors"}
    with open_runner(artifact, RunnerSettings(threads=1)) as runner:
        with pytest.raises(RuntimeError, match="nothing was run yet"):
            runner.effective()
        batched, single = runner.run(images5), runner.run(images5[:1])
        effective = runner.effective()
        assert isinstance(runner, Quantized)
        counts = (runner.clip_counts(images5), runner.clip_counts(images5 * np.float32(100)))
    calm, wild = ({name: lost / seen for name, (lost, seen) in count.items()} for count in counts)
    assert batched.shape == (5, 7) and single.shape == (1, 7)
    assert np.abs(batched[:1] - single).max() < 0.2 * np.abs(batched).max()
    assert (effective.precision, effective.int8_layers, effective.weight_layers) == ("int8", 21, 21)
    assert max(calm.values()) < 0.2 < max(wild.values()) and len(calm) > 20


@pytest.mark.extras
@COMPILED
def test_the_stored_graph_gives_the_bytes_of_the_graph_that_was_converted(
    resnet18_request: BuildRequest, images5: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[torch.fx.GraphModule] = []
    converted = torch_pt2e._converted

    def keeping(observed: torch.fx.GraphModule) -> torch.fx.GraphModule:
        kept.append(converted(observed))
        return kept[-1]

    monkeypatch.setattr(torch_pt2e, "_converted", keeping)
    build(SPEC, resnet18_request, tmp_path)
    with torch.inference_mode():
        expected = LoweredPerShape(kept[0])(torch.from_numpy(images5))
        restored = load_network(tmp_path)
        outputs = restored(torch.from_numpy(images5))
    assert torch.equal(outputs, expected) and len(set(outputs.flatten().tolist())) > 10
    assert [integer_layers(graph) for graph in restored.lowered.values()] == [21]


@pytest.mark.extras
@COMPILED
def test_a_transformer_of_one_size_of_image_is_quantized_at_that_size() -> None:
    from torchvision.models import VisionTransformer

    net = VisionTransformer(32, 16, num_layers=1, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=7)
    torch.manual_seed(0)
    torch.nn.init.normal_(net.heads.head.weight)
    images = torch.randn(3, 3, 32, 32)
    with torch_pt2e._quiet(), torch.no_grad():
        expected = net.eval()(images)
        observed = torch_pt2e._observed(net, (32, 32))
        observed(images)
        lowered = LoweredPerShape(torch_pt2e._converted(observed))
        outputs = lowered(images)
    assert all(integer_layers(graph) for graph in lowered.lowered.values())
    assert (outputs - expected).abs().max() < 0.3 * expected.abs().max()


def test_why_no_deployment_is_written_is_said(tmp_path: Path) -> None:
    runner = open_runner(Artifact("0" * 64, tmp_path, Manifest({}, 0)), RunnerSettings(1))
    with pytest.raises(VariantUnavailable, match="it is lowered for each shape by torchao"):
        runner.write(tmp_path)
