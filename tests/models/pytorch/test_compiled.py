"""The compiled variants against a script that uses torch.compile directly, and what they say of themselves."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from isobatch.models.machine import cpp_compiler
from isobatch.models.pytorch.compiled import CompiledTorchRunner, open_runner
from isobatch.models.pytorch.kernels import lacks_arithmetic
from isobatch.models.pytorch.switches import turned
from isobatch.models.pytorch.tensors import to_numpy
from isobatch.models.registry import find_variant, how_to_add, installed
from isobatch.models.spec.runner import WHOLE, Canonical, Inspectable
from isobatch.models.spec.templates.network_canonical import InCanonicalShape
from isobatch.models.spec.templates.network_compiled import Compiled
from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings, VariantUnavailable

SETTINGS = RunnerSettings(threads=1)
FLOAT32 = Manifest({"computed_in": "float32"}, size_bytes=1)
IMAGES = np.random.default_rng(0).standard_normal((5, 3, 24, 24), np.float32)
# Inductor's own imports give these where torch 2.13 meets Python 3.11.
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def three_layers() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 7))
    return nn.Sequential(*layers).eval().requires_grad_(False)


def alone(run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.concatenate([run(IMAGES[i : i + 1]) for i in range(len(IMAGES))])


@pytest.fixture(scope="module")
def runner() -> Iterator[CompiledTorchRunner]:
    with CompiledTorchRunner(three_layers, SETTINGS) as opened_runner:
        yield opened_runner


@pytest.mark.extras
@quiet
def test_the_rows_and_the_verdict_are_those_of_a_direct_script(runner: CompiledTorchRunner) -> None:
    import torch._inductor.config

    ours_alone, ours_together = alone(runner.run), runner.run(IMAGES)
    script = torch.compile(three_layers())
    with torch.inference_mode(), torch._inductor.config.patch(freezing=True, compile_threads=1):
        direct_alone = alone(lambda rows: to_numpy(script(torch.from_numpy(rows).clone())))
        direct_together = to_numpy(script(torch.from_numpy(IMAGES).clone()))
    assert ours_alone.tobytes() == direct_alone.tobytes() and ours_together.tobytes() == direct_together.tobytes()
    assert (ours_alone.tobytes() == ours_together.tobytes()) == (direct_alone.tobytes() == direct_together.tobytes())


@pytest.mark.extras
@quiet
@pytest.mark.skipif(lacks_arithmetic(torch.bfloat16), reason="this processor has no bfloat16 arithmetic")
def test_in_bfloat16_it_is_a_direct_script_too() -> None:
    import torch._inductor.config

    images = torch.from_numpy(IMAGES).to(torch.bfloat16, memory_format=torch.channels_last)
    with CompiledTorchRunner(three_layers, SETTINGS, torch.bfloat16, "channels_last") as runner:
        ours = [runner.run(IMAGES[:1]), runner.run(IMAGES)]
        assert runner.effective().precision == "bf16"
    script = torch.compile(three_layers().to(torch.bfloat16).to(memory_format=torch.channels_last))
    with torch.inference_mode(), torch._inductor.config.patch(freezing=True, compile_threads=1):
        direct = [to_numpy(script(images[:1].clone())), to_numpy(script(images.clone()))]
    assert [row.tobytes() for row in ours] == [row.tobytes() for row in direct]


@pytest.mark.extras
@quiet
def test_there_is_a_graph_for_one_image_and_one_for_the_rest(runner: CompiledTorchRunner) -> None:
    runner.compile_for(IMAGES)
    with torch.inference_mode():
        eager = three_layers()(torch.from_numpy(IMAGES)).numpy()
    for n in (5, 2, 4, 3):
        assert np.abs(runner.run(IMAGES[:n]) - eager[:n]).max() < 1e-5
    effective = runner.effective()
    assert [graph.images for graph in effective.graphs] == [
        "1",
        "2 to 15",
    ]  # torch asks whether there are 16 to convolve
    assert all(graph.size == (24, 24) and graph.seconds > 0 and graph.operations["C++"] for graph in effective.graphs)
    assert effective.precision == "fp32" and cpp_compiler.version() in effective.note
    assert not isinstance(runner, Inspectable) and "N = 1 / 2 to 15 run in graphs of their own" in runner.why_closed()


@pytest.mark.extras
@quiet
def test_a_loader_that_makes_its_tensors_elsewhere_gets_the_same_bytes(runner: CompiledTorchRunner) -> None:
    made = Compiled(three_layers())
    for rows in (IMAGES[:1], IMAGES, IMAGES[:1], IMAGES[:3]):
        given = torch.from_numpy(rows).clone()  # an ordinary tensor, as the shipped loader has it
        with torch.inference_mode():
            assert made(given).numpy().tobytes() == runner.run(rows).tobytes()
    assert [graph.images for graph in made.graphs] == ["1", "2 to 15"]
    padded = InCanonicalShape(made, 8, 8, 2)  # which makes an inference tensor of a single image and its copy
    with torch.inference_mode():
        single = padded(torch.from_numpy(IMAGES[:1]).clone()).numpy()
        assert single.tobytes() == padded(torch.from_numpy(IMAGES[:1].repeat(2, 0)).clone())[:1].numpy().tobytes()
    assert [graph.images for graph in made.graphs] == ["1", "2 to 15"]


@pytest.mark.extras
@quiet
@pytest.mark.parametrize("order", [(1, 4, 16, 32, 15), (32, 16, 15, 4, 1)])
def test_every_number_of_images_has_a_graph_that_takes_it(order: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).standard_normal((32, 3, 24, 24), np.float32)
    with torch.inference_mode():
        eager = three_layers()(torch.from_numpy(images)).numpy()
    with CompiledTorchRunner(three_layers, SETTINGS) as runner:
        for n in order:
            assert np.abs(runner.run(images[:n]) - eager[:n]).max() < 1e-5
        made = [graph.images for graph in runner.effective().graphs]
    assert sorted(made) == ["1", "16 or more", "2 to 15"]


@pytest.mark.extras
@quiet
def test_one_graph_is_refused_where_a_single_image_needs_its_own() -> None:
    images = np.random.default_rng(2).standard_normal((3, 3, 64, 64), np.float32)

    def strided() -> nn.Module:
        convolutions = (nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU())
        rest = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 100))
        return nn.Sequential(*convolutions, *rest).eval().requires_grad_(False)

    with CompiledTorchRunner(strided, RunnerSettings(2)) as runner, runner.with_one_graph() as one_graph:
        assert one_graph.run(images).shape == (3, 100)
        with pytest.raises(VariantUnavailable, match=r"torch's code for 2 to 15 images .* does not take one"):
            one_graph.run(images[:1])


@pytest.mark.extras
@quiet
def test_in_one_graph_the_number_of_images_is_unknown(runner: CompiledTorchRunner) -> None:
    with runner.with_one_graph() as one_graph:
        rows = [one_graph.run(IMAGES[:n]) for n in (3, 1, 5)]
        assert [graph.images for graph in one_graph.effective().graphs] == ["1 to 15"]
        assert one_graph.change == {"one_graph": True}
    assert all(part.tobytes() == rows[2][: len(part)].tobytes() for part in rows)


@pytest.mark.extras
@quiet
def test_a_single_image_is_padded_into_the_graph_of_batches(runner: CompiledTorchRunner) -> None:
    with runner.with_canonical({WHOLE: Canonical(size=8, up_to=8, least=2)}) as padded:
        single = padded.run(IMAGES[:1])
    assert single.tobytes() == runner.run(np.repeat(IMAGES[:1], 2, axis=0))[:1].tobytes()
    with pytest.raises(KeyError, match="as a whole"):
        runner.with_canonical({"a layer": Canonical(size=1)})


@pytest.mark.extras
@quiet
def test_its_code_is_kept_in_the_temporary_folder_alone(runner: CompiledTorchRunner, tmp_path: Path) -> None:
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).parent == Path(os.environ["TMPDIR"])
    other = CompiledTorchRunner(three_layers, SETTINGS)
    with other, other.with_threads(2, streams=2) as streams:
        assert streams.run(IMAGES).shape == (5, 7)


@pytest.mark.extras
@quiet
def test_a_network_with_free_sizes_answers_too() -> None:
    with turned({"compile_dynamic": True}), CompiledTorchRunner(three_layers, SETTINGS) as free:
        rows = free.run(IMAGES)
    with torch.inference_mode():
        assert np.abs(rows - three_layers()(torch.from_numpy(IMAGES)).numpy()).max() < 1e-5


def test_without_a_compiler_it_is_unavailable_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    spec = find_variant("compile-fp32")
    assert not installed(spec) and how_to_add(spec).startswith("apt-get install g++")
    with pytest.raises(VariantUnavailable, match=r"CXX names /no/such/compiler, which is not there \(apt-get install"):
        open_runner(Artifact("0" * 64, tmp_path, FLOAT32), SETTINGS)


def test_torchs_compiler_sleeps_until_such_a_variant_is_run() -> None:
    script = """
import sys
import isobatch.models.machine.preload
import isobatch.models.pytorch.compiled as compiled
print([name for name in ("torch._dynamo", "torch._inductor.compile_fx", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]"], done.stderr
