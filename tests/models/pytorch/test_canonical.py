import copy
import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.runner import Canonical, Rewritable
from isobatch.models.spec.templates.network_canonical import InCanonicalShape
from isobatch.models.spec.words import Artifact, VariantUnavailable
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

IN_SINGLES = Canonical(size=1)


def of_singles(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> bytes:
    return np.concatenate([run(images[i : i + 1]) for i in range(len(images))]).tobytes()


@pytest.mark.parametrize("variant", ["fp32", "bf16", "int8-x86", "int8-fbgemm", "int8-dynamic"])
def test_with_every_layer_run_alone_a_batch_gives_the_bytes_of_native_singles(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray, variant: str
) -> None:
    with load(find_variant(variant).open)(resnet18_artifact(variant), SETTINGS) as runner:
        assert isinstance(runner, Rewritable)
        native = runner.run(images5).tobytes()
        rules = dict.fromkeys(watched(runner, images5), IN_SINGLES)
        with runner.with_canonical(rules) as repaired:
            assert repaired.run(images5).tobytes() == of_singles(runner.run, images5)
        assert runner.run(images5).tobytes() == native


@pytest.mark.parametrize("variant", ["fp32", "int8-x86"])
def test_padded_calls_give_a_row_the_same_bytes_at_every_n(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray, variant: str
) -> None:
    with load(find_variant(variant).open)(resnet18_artifact(variant), SETTINGS) as runner:
        repaired = runner.with_canonical(dict.fromkeys(watched(runner, images5), Canonical(size=4)))
        rows = repaired.run(images5)
        for count in (1, 2, 3, 4):
            assert repaired.run(images5[:count]).tobytes() == rows[:count].tobytes()


@pytest.mark.parametrize("network", [Functional, lambda: Attention(True)])
def test_operations_and_attention_can_be_cut(network: Callable[[], nn.Module]) -> None:
    with opened(seeded(network)) as runner:
        seen = watched(runner, pixels(5))
        for rule in (IN_SINGLES, Canonical(size=2)):
            with runner.with_canonical(dict.fromkeys(seen, rule)) as repaired:
                assert repaired.run(pixels(5)).tobytes() == of_singles(repaired.run, pixels(5))
        with runner.with_canonical(dict.fromkeys(seen, IN_SINGLES)) as repaired:
            assert repaired.run(pixels(5)).tobytes() == of_singles(runner.run, pixels(5))


@pytest.mark.parametrize("planted", [Leak(), OneUlpWhenBatched()])
def test_exactly_the_planted_layer_repairs_the_network(planted: nn.Module) -> None:
    with opened(with_planted(planted)) as runner:
        layers = list(watched(runner, pixels(5)))
        singles = of_singles(runner.run, pixels(5))
        assert runner.run(pixels(5)).tobytes() != singles
        others = [name for name in layers if name != "1"]
        assert runner.with_canonical(dict.fromkeys(others, IN_SINGLES)).run(pixels(5)).tobytes() != singles
        assert runner.with_canonical({"1": IN_SINGLES}).run(pixels(5)).tobytes() == singles


@pytest.mark.parametrize(
    "rule, count, calls",
    [
        (Canonical(size=4), 9, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 8, 8, 8]]),
        (Canonical(size=4), 3, [[0, 1, 2, 2]]),
        (Canonical(size=4, up_to=2), 10, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        (Canonical(size=4, up_to=2), 3, [[0, 1, 2, 2]]),
        (Canonical(size=4, up_to=6), 6, [[0, 1, 2, 3, 4, 5]]),
        (Canonical(size=1), 2, [[0], [1]]),
    ],
)
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_rows_are_cut_and_padded_by_the_rule(
    rule: Canonical, count: int, calls: list[list[int]], memory_format: str
) -> None:
    spy = Spy()
    images = np.arange(count, dtype=np.float32).reshape(count, 1, 1, 1) + np.zeros((1, 3, 3, 5), np.float32)
    with opened(nn.Sequential(nn.Identity(), spy), memory_format) as runner:
        runner.watch(images[:1], lambda *_: None)
        runner.run(images)
        _, stride, alignment = spy.calls[-1]
        spy.calls.clear(), spy.first.clear()
        result = runner.with_canonical({"1": rule}).run(images)
    assert spy.first == calls
    np.testing.assert_array_equal(result, images * 2)
    # 180 bytes an image: without a copy the second would lie where torch puts no tensor of its own
    assert {call[1:] for call in spy.calls} == {(stride, alignment)}


def test_an_in_place_operation_still_changes_its_input() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y.add_(x)
            return y.flatten(1)

    with opened(InPlace()) as runner:
        watched(runner, pixels(5))
        repaired = runner.with_canonical({"add_()": Canonical(size=2)})
        assert repaired.run(pixels(5)).tobytes() == runner.run(pixels(5)).tobytes()


def test_weights_are_shared_and_the_native_runner_stays_as_it_was() -> None:
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()))
    with opened(net) as runner:
        native = watched(runner, pixels(3))
        with runner.with_canonical({"0": Canonical(size=2)}) as repaired:
            (own,) = [tensor for name, tensor in repaired.net.named_parameters() if name.endswith("weight")]
            assert own.data_ptr() == net.get_parameter("0.weight").data_ptr()
            assert list(watched(repaired, pixels(3))) == list(native)  # can be watched in turn
        assert isinstance(runner.net[0], nn.Conv2d)  # type: ignore[index]


def test_torchscript_compiles_a_repaired_network_and_keeps_its_bits(
    resnet18_artifact: Callable[[str], Artifact], images5: np.ndarray
) -> None:
    with load(find_variant("int8-x86").open)(resnet18_artifact("int8-x86"), SETTINGS) as runner:
        layers = watched(runner, images5[:1])
        rules = {name: IN_SINGLES for name, (layer, _, _) in layers.items() if layer.kind in ("conv2d", "linear")}
        repaired = runner.with_canonical(rules)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
            file = io.BytesIO()
            torch.jit.save(torch.jit.script(repaired.net), file)
            file.seek(0)
            loaded = torch.jit.load(file)
        with torch.inference_mode():
            rows = loaded(torch.tensor(images5))
        assert rows.numpy().tobytes() == repaired.run(images5).tobytes()


def test_what_cannot_be_rewritten_is_refused_with_the_reason() -> None:
    with opened(seeded(lambda: Attention(False))) as runner:
        with pytest.raises(RuntimeError, match="watch one image first"):
            runner.with_canonical({"embed": IN_SINGLES})
        watched(runner, pixels(2))
        with pytest.raises(KeyError, match="no such layer"):
            runner.with_canonical({"no such layer": IN_SINGLES})
        with pytest.raises(VariantUnavailable, match=r"batch axis of attend\.linear\(\) is number 1"):
            runner.with_canonical({"attend.linear()": IN_SINGLES})
    relu = nn.ReLU()
    with opened(nn.Sequential(relu, nn.MaxPool2d(2), relu)) as runner:
        watched(runner, pixels(2))
        assert runner.with_canonical({"0": IN_SINGLES, "0#2": IN_SINGLES}).run(pixels(3)).shape[0] == 3
        with pytest.raises(VariantUnavailable, match="called several times with different rules"):
            runner.with_canonical({"0": IN_SINGLES, "0#2": Canonical(size=2)})


def test_a_repaired_module_still_answers_for_itself() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) * self.conv.out_channels

    with opened(seeded(Asks)) as runner:
        watched(runner, pixels(2))
        repaired = runner.with_canonical({"conv": IN_SINGLES})
        assert repaired.run(pixels(2)).shape == (2, 2, 14, 14)
        with pytest.raises(AttributeError, match="no_such"):
            _ = repaired.net.conv.no_such


def test_a_copy_of_what_is_cut_is_cut_also_around_what_copies_itself_in_its_own_way() -> None:
    graph = torch.fx.symbolic_trace(nn.Linear(4, 3).eval())
    assert hasattr(graph, "__deepcopy__")
    twin = copy.deepcopy(InCanonicalShape(graph, size=2, up_to=0))
    assert isinstance(twin, InCanonicalShape) and twin.size == 2 and twin.inner is not graph
