from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from isobatch.models.spec.images import IMAGENET, normalise
from isobatch.models.weights.digits import data, weights
from isobatch.models.weights.torchvision_compat import torchvision


@pytest.fixture(scope="module")
def state() -> weights.State:
    return weights.state_dict()


def test_the_state_is_all_of_torchvisions_resnet50(state: weights.State) -> None:
    with torch.device("meta"):
        expected = torchvision.models.resnet50(weights=None).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in expected.items()} == {
        name: array.shape for name, array in state.items()
    }
    assert all(torch.from_numpy(state[name]).dtype == tensor.dtype for name, tensor in expected.items())


def test_the_file_is_small_and_finite(state: weights.State) -> None:
    assert weights.FILE.stat().st_size <= 2_000_000
    assert all(np.isfinite(array).all() for array in state.values())


def test_a_tampered_file_is_refused(tmp_path: Path) -> None:
    trained = safetensors.numpy.load_file(weights.FILE)
    trained["bn1.bias"][0] = np.nextafter(trained["bn1.bias"][0], np.float32(1e9))
    file = tmp_path / "tampered.safetensors"
    safetensors.numpy.save_file(trained, file)
    with pytest.raises(ValueError, match=r"not [0-9a-f]{64}: restore tampered\.safetensors"):
        weights.state_dict(file)


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.array([1, 2], dtype=np.float64)},
        {"a": np.array([[1, 2]], dtype=np.float32)},
        {"a": np.array([2, 1], dtype=np.float32)},
        {"b": np.array([1, 2], dtype=np.float32)},
        {"a": np.array([1, 2], dtype=np.float32), "b": np.zeros(0, dtype=np.float32)},
    ],
    ids=["dtype", "shape", "bytes", "name", "one more"],
)
def test_the_fingerprint_sees(other: weights.State) -> None:
    assert weights.fingerprint(other) != weights.fingerprint({"a": np.array([1, 2], dtype=np.float32)})


def test_the_fingerprint_ignores_order_and_byte_order() -> None:
    a, b = np.array([1, 2], dtype="<f4"), np.array([3], dtype="<i8")
    assert weights.fingerprint({"a": a, "b": b}) == weights.fingerprint({"b": b.astype(">i8"), "a": a.astype(">f4")})


def test_untrained_rows_have_the_median_norm_of_the_trained(state: weights.State) -> None:
    norms = np.linalg.norm(state["fc.weight"].astype(np.float64), axis=1)
    np.testing.assert_allclose(norms[weights.DIGITS :], np.median(norms[: weights.DIGITS]), rtol=1e-6)
    assert len(norms) == weights.NUM_CLASSES


def test_no_channel_is_dead(state: weights.State) -> None:
    lowest = {name: float(array.min()) for name, array in state.items() if name.endswith("running_var")}
    assert len(lowest) == 53
    assert min(lowest.values()) > 0.01, min(lowest, key=lowest.__getitem__)


def test_the_norm_does_not_depend_on_the_order() -> None:
    row = np.array([1e8] + [1] * 1000, dtype=np.float32)
    assert weights.norm(np.array([3, 4], dtype=np.float32)) == 5
    assert weights.norm(row) == weights.norm(row[::-1]) == np.sqrt(1e16 + 1000)


def test_generated_convolutions_are_he_uniform() -> None:
    convolutions, rows = weights.generated()
    wide = convolutions["layer4.0.conv2.weight"].astype(np.float64)
    bound = np.sqrt(6 / (512 * 9))
    assert np.abs(wide).max() <= np.float32(bound)
    assert wide.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert abs(wide.mean()) < 0.01 * bound
    assert rows.shape == (990, 2048)


@pytest.mark.resnet50
def test_it_reads_digits_and_no_class_drowns_the_ten(state: weights.State) -> None:
    network = torchvision.models.resnet50(weights=None).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    images, labels = data.load()
    chosen = data.split("heldout")[:24]
    inputs = torch.from_numpy(normalise(data.enlarge(images[chosen], 224), IMAGENET.mean, IMAGENET.std))
    with torch.inference_mode():
        logits = torch.cat([network(part) for part in torch.tensor_split(inputs, 2)]).numpy()
    assert (logits.argmax(axis=1) == labels[chosen]).mean() >= 0.95
    ten = logits[:, : weights.DIGITS]
    centre, span = (ten.max(axis=1) + ten.min(axis=1)) / 2, np.ptp(ten, axis=1)
    assert (np.abs(logits - centre[:, np.newaxis]) <= span[:, np.newaxis]).all()
    assert np.ptp(state["fc.bias"]) < span.min()
