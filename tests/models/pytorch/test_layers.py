from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.runner import Inspectable, Layer, Rows
from isobatch.models.spec.words import Artifact
from tests.models.pytorch.small_networks import (
    SETTINGS,
    Attention,
    Functional,
    Leak,
    OneUlpWhenBatched,
    Spy,
    opened,
    pixels,
    seeded,
    watched,
    with_planted,
)

FLOAT_KINDS = {"conv2d": 20, "batch-norm": 20, "relu": 17, "add": 8, "max-pool": 1, "average-pool": 1, "linear": 1}
INT8_KINDS = {"quantize": 1, "conv2d": 20, "add": 8, "max-pool": 1, "average-pool": 1, "linear": 1, "dequantize": 1}
KINDS = {
    "fp32": FLOAT_KINDS,
    "bf16": FLOAT_KINDS,
    "fp16": FLOAT_KINDS,
    "int8-x86": INT8_KINDS,
    "int8-fbgemm": INT8_KINDS,
    "int8-dynamic": {**FLOAT_KINDS, "linear": 0, "dynamic-linear": 1},
}


def same(one: Rows, other: Rows) -> bool:
    return [(part.dtype, part.shape, part.tobytes()) for part in one] == [
        (part.dtype, part.shape, part.tobytes()) for part in other
    ]


@pytest.mark.parametrize("variant", KINDS)
def test_every_layer_of_a_real_network_replays_to_the_bytes_of_the_deployed_run(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray, variant: str
) -> None:
    with load(find_variant(variant).open)(resnet18_artifact(variant), SETTINGS) as runner:
        assert isinstance(runner, Inspectable)
        batch, single = watched(runner, images5), watched(runner, images5[:1])
        assert Counter(layer.kind for layer, _, _ in batch.values()) == Counter(KINDS[variant])
        assert list(batch) == list(single)
        for name, (_, inputs, outputs) in batch.items():
            before = [part.tobytes() for part in inputs]
            assert same(runner.replay(name, inputs), outputs), name
            assert same(runner.replay(name, single[name][1]), single[name][2]), name
            assert [part.tobytes() for part in inputs] == before
            assert all(len(part) == 5 for part in (*inputs, *outputs))


def test_layers_chain_and_in_place_activations_change_no_capture(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray
) -> None:
    with load(find_variant("fp32").open)(resnet18_artifact("fp32"), SETTINGS) as runner:
        seen = watched(runner, images5)
    assert list(seen)[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert "layer1.0.relu#2" in seen and "layer1.0.add_()" in seen
    assert (seen["bn1"][2][0] < 0).any() and not (seen["relu"][2][0] < 0).any()
    assert same(seen["relu"][1], seen["bn1"][2]) and same(seen["maxpool"][1], seen["relu"][2])
    assert same(seen["layer1.0.add_()"][1], (*seen["layer1.0.bn2"][2], *seen["maxpool"][2]))


def test_siblings_share_a_signature_and_others_do_not(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray
) -> None:
    with load(find_variant("int8-x86").open)(resnet18_artifact("int8-x86"), SETTINGS) as runner:
        seen = watched(runner, images5[:2])
    signatures = {name: layer.signature for name, (layer, _, _) in seen.items()}
    assert signatures["layer1.0.conv1"] == signatures["layer1.1.conv1"]  # their scales differ
    assert len({signatures[name] for name in ("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1")}) == 4


def test_arithmetic_in_functional_calls_is_seen_and_replayed() -> None:
    images = pixels(3)
    with opened(seeded(Functional)) as runner:
        seen = watched(runner, images)
        replayed = {name: runner.replay(name, inputs) for name, (_, inputs, _) in seen.items()}
        alone = {name: runner.replay(name, tuple(p[1:2] for p in inputs)) for name, (_, inputs, _) in seen.items()}
    assert list(seen) == [
        "conv2d()", "relu_()", "mul()", "cat()", "bmm()", "softmax()", "bmm()#2", "add_()", "matmul()", "mean()",
        "linear()",
    ]  # fmt: skip
    assert seen["bmm()"][1][0].shape == (3, 2, 16, 4)  # two heads an image, folded into the batch axis
    for name, (_, _, outputs) in seen.items():
        assert same(replayed[name], outputs), name
        assert alone[name][0].shape == (1, *outputs[0].shape[1:])


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_is_replayed_as_deployed(batch_first: bool) -> None:
    with opened(seeded(lambda: Attention(batch_first))) as runner:
        seen = watched(runner, pixels(3))
        for name, (_, inputs, outputs) in seen.items():
            assert same(runner.replay(name, inputs), outputs), name
    if batch_first:
        layer, inputs, _ = seen["attend"]
        assert layer.kind == "attention" and len(inputs) == 1  # query is key is value: one tensor, torch's fast path
    else:
        assert "attend.scaled_dot_product_attention()" in seen


@pytest.mark.parametrize("planted", [Leak(), OneUlpWhenBatched()])
def test_a_module_that_mixes_images_or_does_other_things_when_batched_is_one_layer(planted: nn.Module) -> None:
    with opened(with_planted(planted)) as runner:
        seen = watched(runner, pixels(3))
        assert list(seen) == ["0", "1", "3"]
        for name, (_, inputs, outputs) in seen.items():
            alone = [runner.replay(name, tuple(part[i : i + 1] for part in inputs))[0] for i in range(3)]
            assert (np.concatenate(alone).tobytes() == outputs[0].tobytes()) == (name != "1"), name


def test_what_reads_across_images_is_a_layer_in_which_every_image_sees_the_same() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - x.mean(0)).relu().flatten(1)

    with opened(Root()) as runner:
        seen = watched(runner, pixels(3))
        assert list(seen) == ["mean()", "sub()", "relu()"]
        (mean,) = seen["mean()"][2]
        assert mean.shape == (3, 3, 16, 16) and (mean == mean[:1]).all()
        assert same(runner.replay("mean()", seen["mean()"][1]), (mean,))
        assert runner.reaches("mean()", pixels(3)) and runner.reaches("sub()", pixels(3))


def test_what_is_only_looked_at_reaches_no_output() -> None:
    class Watching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.largest = float(x.abs().max())
            return x.flatten(1)

    with opened(Watching()) as runner:
        assert list(watched(runner, pixels(3))) == ["abs()", "max()"]
        assert not runner.reaches("max()", pixels(3))


def test_what_cannot_be_divided_by_images_is_left_out() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = x.flatten(1)
            return (rows @ rows.t()) @ rows.relu()

    with opened(Root()) as runner:
        assert list(watched(runner, pixels(3))) == ["relu()"]


def test_another_call_of_the_same_name_is_not_taken_for_the_layer() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.mean((1, 2)) if len(x) > 2 else x.mean((2, 3))).relu()

    with opened(Branching()) as runner:
        assert list(watched(runner, pixels(2))) == ["mean()", "relu()"]
        assert list(watched(runner, pixels(3))) == []
        with pytest.raises(NotImplementedError):
            runner.replay("forward()", (pixels(3),))


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("count", [1, 4])
def test_a_replay_sees_the_strides_and_alignment_of_the_run(memory_format: str, count: int) -> None:
    spies = Spy(), Spy()
    with opened(nn.Sequential(nn.MaxPool2d(2), spies[0], nn.AdaptiveAvgPool2d(1), spies[1]), memory_format) as runner:
        seen = watched(runner, pixels(count))
        for name, spy in zip("13", spies, strict=True):
            runner.run(pixels(count))
            runner.replay(name, seen[name][1])
            assert spy.calls[-1] == spy.calls[-2] and spy.first[-1] == spy.first[-2]


def test_replaying_works_while_watching() -> None:
    replayed = []

    with opened(seeded(Functional)) as runner:

        def see(layer: Layer, inputs: Rows, outputs: Rows) -> None:
            replayed.append(same(runner.replay(layer.name, inputs), outputs))

        logits = runner.watch(pixels(2), see)
        assert logits.tobytes() == runner.run(pixels(2)).tobytes()
    assert len(replayed) == 11 and all(replayed)


def test_a_layer_never_watched_cannot_be_replayed() -> None:
    with opened(seeded(Functional)) as runner:
        with pytest.raises(NotImplementedError, match="'conv2d\\(\\)' was not watched yet"):
            runner.replay("conv2d()", (pixels(1),))
        watched(runner, pixels(2))
        with pytest.raises(NotImplementedError, match="'reshape\\(\\)'"):
            runner.replay("reshape()", (pixels(1),))
