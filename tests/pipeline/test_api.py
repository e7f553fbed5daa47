import copy
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from isobatch.pipeline import CannotRepair, compare_batch_invariance, make_batch_invariant
from isobatch.pipeline.testing import assert_batch_invariant
from tests.models.pytorch.small_networks import Functional, Leak, OneUlpWhenBatched, pixels, seeded, with_planted

IMAGES = pixels(5)


def planted() -> nn.Module:
    return with_planted(OneUlpWhenBatched()).eval()


def outputs(network: nn.Module, n: int) -> bytes:
    with torch.inference_mode():
        return network(torch.tensor(IMAGES[:n])).numpy().tobytes()


def test_a_planted_difference_is_found_repaired_and_the_original_left_alone() -> None:
    network = planted()
    before = copy.deepcopy(network.state_dict()), outputs(network, 5)
    found = compare_batch_invariance(network, IMAGES)
    assert not found.batch_invariant
    assert str(found).startswith("not batch-invariant at N = 2 to 5 (tried N = 2 to 5): ")
    made = make_batch_invariant(network, torch.tensor(IMAGES))
    assert (made.repair.name, made.repair.batch_invariant) == ("surgical", True)
    assert made.repair.layers == 1 and made.repair.latency_ratio["1"].n >= 3
    singles = b"".join(
        made.network(torch.tensor(IMAGES[i : i + 1])).detach().numpy().tobytes() for i in range(len(IMAGES))
    )
    for n in range(1, 6):
        assert singles.startswith(outputs(made.network, n))
    assert compare_batch_invariance(made.network, IMAGES).batch_invariant
    assert (network.state_dict().keys(), outputs(network, 5)) == (before[0].keys(), before[1])


def test_a_functional_network_and_one_that_needs_nothing() -> None:
    made = make_batch_invariant(seeded(Functional), IMAGES)
    assert compare_batch_invariance(made.network, IMAGES).batch_invariant
    steady = nn.Sequential(nn.MaxPool2d(4), nn.Flatten())
    assert make_batch_invariant(steady.eval(), IMAGES).repair.name == "native"


def test_a_leak_between_images_is_cured_by_running_that_layer_alone() -> None:
    made = make_batch_invariant(with_planted(Leak()).eval(), IMAGES, rungs=["surgical"])
    assert made.repair.name == "surgical"
    assert compare_batch_invariance(made.network, IMAGES).batch_invariant


def test_what_no_rung_can_do_says_what_each_one_did() -> None:
    with pytest.raises(CannotRepair, match=r"no repair holds for N = 2, 3, 4, 5: pow2-scale: it has no"):
        make_batch_invariant(planted(), IMAGES, rungs=["pow2-scale"])


@pytest.mark.parametrize(
    ("network", "images", "sizes", "error", "text"),
    [
        (lambda: planted().train(), IMAGES, None, ValueError, r"training mode.*call .eval\(\)"),
        (planted, IMAGES[:1], None, ValueError, "at least two"),
        (planted, IMAGES[0], None, ValueError, "at least two"),
        (planted, IMAGES, [9], ValueError, "never repeated to fill a batch"),
        (lambda: 3, IMAGES, None, TypeError, "cannot open a int"),
        (lambda: b"no graph", IMAGES, None, ValueError, "not an ONNX file"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 2)).apply(zeroed), IMAGES, None, ValueError, "same output"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(
    network: Any, images: Any, sizes: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        made = network()
        compare_batch_invariance(made.eval() if text == "same output" else made, images, sizes)


def zeroed(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)


def test_the_assertion_names_the_first_origin() -> None:
    assert_batch_invariant(nn.Sequential(nn.MaxPool2d(4), nn.Flatten()).eval(), IMAGES)
    assert_batch_invariant(planted(), IMAGES, relative_tolerance=1e-3)
    with pytest.raises(AssertionError, match=r"at N = .* differ from their singles, .*; it starts in 1 \("):
        assert_batch_invariant(planted(), IMAGES)


def test_an_onnx_graph_with_dynamic_quantization(tmp_path: Any) -> None:
    from tests.models.ort.small_onnx import build, classifier, request

    artifact = build("ort-int8-dynamic", request(tmp_path, classifier(), calibration=IMAGES), tmp_path)
    path = artifact.folder / "model.onnx"
    varied = pixels(5, side=16) * torch.tensor([0.5, 1, 2, 3, 4]).reshape(5, 1, 1, 1).numpy()
    assert not compare_batch_invariance(path, varied).batch_invariant
    made = make_batch_invariant(path.read_bytes(), varied)
    assert isinstance(made.network, onnx.ModelProto)
    assert made.repair.singles_as_native
    assert compare_batch_invariance(made.network, varied).batch_invariant
