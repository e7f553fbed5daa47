import hashlib

import numpy as np
import pytest

from isobatch.models.spec.images import IMAGENET, normalise
from isobatch.models.weights.digits import data

ENLARGED_SHA256 = "6b8ee6a633e51d94232c159db6e7e97abc736a465d576fdaa868490f19da9be4"
NORMALISED_SHA256 = "a1c10a81f2868b84c1de966a3483c2d9565afb39a292e5b0ff358c0638d7f48e"


def test_the_file_is_small_and_complete() -> None:
    images, labels = data.load()
    assert data.FILE.stat().st_size <= 100_000
    assert images.shape == (1797, 8, 8)
    assert labels.shape == (1797,)
    assert np.unique(images).tolist() == list(range(17))
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_splits_are_disjoint_by_content_and_leave_nothing_out() -> None:
    images, _ = data.load()
    content = {name: {images[i].tobytes() for i in data.split(name)} for name in data.SPLITS}
    assert {name: len(distinct) for name, distinct in content.items()} == {
        "train": 1144,
        "calibration": 163,
        "heldout": 490,
    }
    assert len(set.union(*content.values())) == 1797


@pytest.mark.parametrize("name", data.SPLITS)
def test_splits_are_about_balanced(name: data.Split) -> None:
    _, labels = data.load()
    counts = np.bincount(labels[data.split(name)])
    assert counts.min() >= 0.75 * counts.mean()
    assert counts.max() <= 1.25 * counts.mean()


def test_the_inputs_have_the_same_bytes_everywhere() -> None:
    images, _ = data.load()
    pixels = data.enlarge(images[:3], 224)
    assert pixels.shape == (3, 224, 224, 3)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == ENLARGED_SHA256
    planes = normalise(pixels, IMAGENET.mean, IMAGENET.std)
    assert planes.shape == (3, 3, 224, 224)
    assert hashlib.sha256(planes.astype("<f4").tobytes()).hexdigest() == NORMALISED_SHA256


def test_enlarging_to_the_same_size_only_scales_the_ink() -> None:
    ink = np.arange(16, dtype=np.uint8).repeat(4).reshape(1, 8, 8)
    ink[0, 7, 7] = 16
    pixels = data.enlarge(ink, 8)
    assert pixels[0, 0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 0, 4].tolist() == [16, 16, 16]  # 1 of 16 is 15.94 of 255
    assert pixels[0, 7, 7].tolist() == [255, 255, 255]


def test_normalise_by_hand() -> None:
    planes = normalise(np.array([[[[0, 255, 51]]]], dtype=np.uint8), IMAGENET.mean, IMAGENET.std)
    expected = [(0 - 0.485) / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(planes.ravel(), expected, rtol=1e-6)


def test_normalise_leaves_its_input_alone() -> None:
    pixels = np.full((1, 2, 2, 3), 7, dtype=np.uint8)
    normalise(pixels, IMAGENET.mean, IMAGENET.std)
    assert (pixels == 7).all()
