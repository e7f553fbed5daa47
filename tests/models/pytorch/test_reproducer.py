"""What a reproducer script runs is the layer itself, to the last bit, in every kind of network."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from isobatch.models.pytorch.int8.modules import known_deprecations
from isobatch.models.pytorch.reproducer import plain
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.case import Reproducible, ReproducibleTies
from isobatch.models.spec.runner import Rows
from isobatch.models.spec.words import Artifact
from tests.models.pytorch.small_networks import SETTINGS, Attention, Functional, opened, pixels, seeded, watched


def same(found: list[Any], outputs: Rows) -> bool:
    return [part.tobytes() for part in found] == [plain(part).tobytes() for part in outputs]


def told(runner: Any, images: np.ndarray) -> tuple[set[str], dict[str, str]]:
    """Kinds of layers that are told bit by bit, for all images and for the first alone; the others with the reason."""
    kinds, untold = set(), {}
    seen = watched(runner, images)
    assert isinstance(runner, Reproducible)
    for name, (layer, inputs, outputs) in seen.items():
        try:
            case = runner.case(name, inputs)
        except NotImplementedError as error:
            untold[name] = str(error)
            continue
        run = case.prepare(dict(case.arrays))
        assert same(run(dict(case.arrays)), outputs), name
        first = {array: value[:1] if array in case.rows else value for array, value in case.arrays.items()}
        assert same(run(first), runner.replay(name, tuple(part[:1] for part in inputs))), name
        kinds.add(layer.kind)
    return kinds, untold


@pytest.mark.parametrize("variant", ["fp32", "bf16", "int8-x86", "int8-dynamic"])
def test_every_layer_of_a_variant_is_told(
    variant: str, resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray
) -> None:
    with load(find_variant(variant).open)(resnet18_artifact(variant), SETTINGS) as runner, known_deprecations():
        kinds, untold = told(runner, images5)
    assert untold == {}
    assert {"conv2d", "max-pool", "average-pool", "add"} <= kinds
    assert ("dynamic-linear" if variant == "int8-dynamic" else "linear") in kinds


@pytest.mark.parametrize("make", [Functional, lambda: Attention(True), lambda: Attention(False)])
def test_functional_calls_and_attention_are_told(make: Callable[[], nn.Module]) -> None:
    with opened(seeded(make)) as runner:
        kinds, untold = told(runner, pixels(3))
    assert len(kinds) >= 2 and all(reason for reason in untold.values())


def test_channels_last_layouts_are_kept() -> None:
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)))
    with opened(nn.Sequential(net, nn.Flatten()), memory_format="channels_last") as runner:
        kinds, untold = told(runner, pixels(3))
        seen = watched(runner, pixels(3))
        case = runner.case("0.2", seen["0.2"][1])
    assert {"conv2d"} <= kinds and "0.2" not in untold
    assert case.facts["arguments"][0]["together"] == [0, 2, 3, 1]


def test_a_layer_on_rounding_ties_is_told_with_its_moved_bias(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray
) -> None:
    with load(find_variant("int8-x86").open)(resnet18_artifact("int8-x86"), SETTINGS) as runner, known_deprecations():
        seen = watched(runner, images5)
        assert isinstance(runner, ReproducibleTies)
        tied = runner.provoked_case("layer1.0.conv1", 5, seed=0)
        assert tied is not None
        natural = runner.case("layer1.0.conv1", seen["layer1.0.conv1"][1])
        (codes,) = tied.prepare(dict(tied.arrays))(dict(tied.arrays))
        assert runner.provoked_case("maxpool", 5, seed=0) is None
    assert codes.shape[0] == 5 and codes.dtype == np.uint8
    assert np.array_equal(tied.arrays["weight"], natural.arrays["weight"])
    assert not np.array_equal(tied.arrays["bias"], natural.arrays["bias"])


class Twice(nn.Module):
    """Two computations on something that has no axis of images between them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0).repeat(len(x), 1)


def test_a_layer_of_several_operations_says_so() -> None:
    net = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), Twice())
    with opened(net) as runner:
        _, untold = told(runner, pixels(3))
    assert all("operations" in reason for reason in untold.values())


def test_telling_a_layer_does_not_wake_torchs_compiler() -> None:
    """It takes seconds to load, in every worker that explains."""
    script = """
import sys
from tests.models.pytorch.small_networks import Functional, opened, pixels, seeded, watched
with opened(seeded(Functional)) as runner:
    for name, (_, inputs, _) in watched(runner, pixels(2)).items():
        try:
            runner.case(name, inputs)
        except NotImplementedError:
            pass
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]"], done.stderr
