from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import ArtifactCache, BuildRequest, file_sha256
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, Network
from isobatch.models.weights.digits.weights import fingerprint
from isobatch.models.weights.random_weights import random_state
from isobatch.models.weights.state_dicts import State

CLASSES = 7
SIDE = 64


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small networks gain nothing from two, and lose a lot on a busy machine."""
    torch.set_num_threads(1)


def stored_images(folder: Path, count: int, seed: int, factor: float = 1.0) -> Images:
    pixels = (np.random.default_rng(seed).standard_normal((count, 3, SIDE, SIDE)) * factor).astype(np.float32)
    path = folder / f"images-{seed}.bin"
    path.write_bytes(pixels.tobytes())
    return Images(f"noise-{seed}", str(path), "float32", pixels.shape, file_sha256(path))


@pytest.fixture(scope="session")
def resnet18_state() -> State:
    return random_state("resnet18", CLASSES)


@pytest.fixture(scope="session")
def small_state() -> State:
    """Of shufflenet_v2_x0_5, the smallest classifier of torchvision."""
    return random_state("shufflenet_v2_x0_5", CLASSES)


@pytest.fixture(scope="session")
def resnet18_request(resnet18_state: State, tmp_path_factory: pytest.TempPathFactory) -> BuildRequest:
    """ResNet18 with seven classes and twelve calibration images of 64 x 64; one cache for the session."""
    folder = tmp_path_factory.mktemp("resnet18")
    save_file(resnet18_state, folder / "weights.safetensors")
    sha256 = fingerprint({name: tensor.numpy() for name, tensor in resnet18_state.items()})
    network = Network("resnet18", str(folder / "weights.safetensors"), sha256, CLASSES)
    images = stored_images(folder, count=12, seed=0)
    return BuildRequest(network, images, ArtifactCache(folder / "cache"), say=lambda text: None)


@pytest.fixture(scope="session")
def resnet18_artifact(resnet18_request: BuildRequest) -> Callable[[str], Artifact]:
    """Builds a variant by name, once."""

    def built(name: str) -> Artifact:
        spec = find_variant(name)
        return resnet18_request.cache.get(
            {"variant": name}, lambda folder: load(spec.build)(spec, resnet18_request, folder)
        )

    return built


@pytest.fixture(scope="session")
def images5(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return stored_images(tmp_path_factory.mktemp("images"), count=5, seed=1).read(0, 5)
