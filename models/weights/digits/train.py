"""Trains the embedded `digits` weights, in about 15 minutes on 2 free cores.

`python -m isobatch.models.weights.digits.train [--out FILE]`

Trained are the stem, layer1, every BatchNorm, ten classifier rows and all 1000 biases, over the generated rest
(`weights.py`). Small images first, the deployed 224 x 224 last. `MALLOC_TRIM_THRESHOLD_` and `MALLOC_MMAP_THRESHOLD_`
set to 4294967296 save 10 to 50 % of the time (glibc).
"""

import argparse
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn import functional as F

from isobatch.models.spec.images import IMAGENET, normalise
from isobatch.models.weights.digits import data, weights
from isobatch.models.weights.torchvision_compat import torchvision

EPOCHS = ((6, 64), (3, 96), (3, 128), (2, 176), (7, 224))
"""(epochs, side of the images in pixels), in this order."""
BATCH = 16
PEAK_LEARNING_RATES = (2e-3, 2e-2)
"""Of convolutions and classifier rows, and of scales and biases."""
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.1
SIZE = 224
STATISTICS_IMAGES = 384
BAR = 0.95


class DigitRows(nn.Module):
    """The classifier in training: ten trained rows, 990 fixed directions of the same norm, 1000 trained biases."""

    def __init__(self, directions: NDArray[np.float64]) -> None:
        super().__init__()
        bound = 1 / math.sqrt(weights.FEATURES)
        self.weight = nn.Parameter(torch.empty(weights.DIGITS, weights.FEATURES).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(weights.NUM_CLASSES))
        self.directions = torch.from_numpy(directions).float()

    def forward(self, features: Tensor) -> Tensor:
        """Return the 1000 logits, [n, 1000]."""
        scale = self.weight.detach().norm(dim=1).quantile(0.5)
        return F.linear(features, torch.cat([self.weight, self.directions * scale]), self.bias)


def build() -> nn.Module:
    """Return the network at the start of training: every residual branch begins at zero and grows as it helps."""
    network: nn.Module = torchvision.models.resnet50(weights=None)
    convolutions, directions = weights.generated()
    for name, parameter in network.named_parameters():
        if name in convolutions:
            parameter.data = torch.from_numpy(convolutions[name]).contiguous(memory_format=torch.channels_last)
            parameter.requires_grad_(name.startswith(("conv1", "layer1")))
        elif name.endswith("bn3.weight"):
            nn.init.zeros_(parameter)
    network.fc = DigitRows(directions)
    return network


def augmented(images: NDArray[np.uint8], size: int) -> Tensor:
    """Return the network's input for images of ink, each turned, scaled and shifted a little at random."""
    n = len(images)
    ink = torch.from_numpy(data.enlarge(images, size)[..., 0]).float()[:, None]
    angle = torch.empty(n).uniform_(-0.2, 0.2)
    zoom = torch.empty(n).uniform_(0.85, 1.15)
    shift = torch.empty(n, 2).uniform_(-0.15, 0.15)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    affine = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], dim=1).view(n, 2, 3)
    grid = F.affine_grid(affine, [n, 1, size, size], align_corners=False)
    grey = F.grid_sample(ink, grid, align_corners=False) / 255
    mean, std = torch.tensor(IMAGENET.mean), torch.tensor(IMAGENET.std)
    return ((grey - mean[:, None, None]) / std[:, None, None]).contiguous(memory_format=torch.channels_last)


def _inputs(images: NDArray[np.uint8]) -> Tensor:
    """The network's input for plain images of ink."""
    return torch.from_numpy(normalise(data.enlarge(images, SIZE), IMAGENET.mean, IMAGENET.std))


def batches(indices: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of one epoch in random order; the ragged rest waits for another epoch."""
    order = indices[torch.randperm(len(indices)).numpy()]
    for start in range(0, len(order) - BATCH + 1, BATCH):
        yield order[start : start + BATCH]


def fit(network: nn.Module) -> None:
    """Train in place on the train split, printing progress and an estimate of the time left."""
    images, labels = data.load()
    indices = data.split("train")
    sides = [side for epochs, side in EPOCHS for _ in range(epochs)]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    kernels = {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": WEIGHT_DECAY}
    vectors = {"params": [parameter for parameter in trained if parameter.ndim == 1], "weight_decay": 0.0}
    optimizer = torch.optim.AdamW([kernels, vectors])
    steps = len(sides) * (len(indices) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, list(PEAK_LEARNING_RATES), steps, pct_start=0.2)
    network.train()
    start = time.monotonic()
    for epoch, side in enumerate(sides):
        losses, hits = [], []
        for chosen in batches(indices):
            target = torch.from_numpy(labels[chosen])
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(augmented(images[chosen], side)).float()
            loss = F.cross_entropy(logits, target, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            hits.append((logits.argmax(1) == target).float().mean().item())
        done, rest = (sum(s * s for s in part) for part in (sides[: epoch + 1], sides[epoch + 1 :]))
        elapsed = time.monotonic() - start
        print(
            f"epoch {epoch + 1:2d}/{len(sides)} at {side:3d} px: loss {np.mean(losses):.3f}, train top-1 "
            f"{np.mean(hits):.3f}, {elapsed:4.0f} s, about {elapsed * rest / done:4.0f} s left",
            flush=True,
        )


def settle_statistics(network: nn.Module) -> None:
    """Set every BatchNorm's statistics to those of the deployed arithmetic: float32, 224 x 224, plain images.

    All images form one batch, so the batch's statistics are the population's, and no batch size has a say.
    """
    images, _ = data.load()
    chosen = data.split("train")[:STATISTICS_IMAGES]
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(_inputs(images[chosen]))


def trained_arrays(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return what training made, as `weights.assemble` takes it."""
    frozen = {name for name in weights.conv_shapes() if not name.startswith(("conv1", "layer1"))}
    return {
        name: value.contiguous().numpy()
        for name, value in network.state_dict().items()
        if name not in frozen and not name.endswith("num_batches_tracked")
    }


def evaluate(state: weights.State) -> tuple[int, int, float]:
    """Return hits and images of the held-out split, in float32 at 224 px, and the span of all logits over the ten's.

    The span is the largest over images of (max - min of all 1000 logits) / (max - min of the ten digits' logits).
    """
    network = torchvision.models.resnet50(weights=None).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    images, labels = data.load()
    chosen = data.split("heldout")
    outputs = []
    with torch.inference_mode():
        for part in np.array_split(chosen, math.ceil(len(chosen) / BATCH)):
            outputs.append(network(_inputs(images[part])).numpy())
    logits = np.concatenate(outputs)
    span = np.ptp(logits, axis=1) / np.ptp(logits[:, : weights.DIGITS], axis=1)
    return int((logits.argmax(axis=1) == labels[chosen]).sum()), len(chosen), float(span.max())


def main() -> None:
    """Train, measure, and write the file if it reaches the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=weights.FILE, help="where the trained arrays go (safetensors)")
    out: Path = parser.parse_args().out
    torch.set_num_threads(2)
    torch.manual_seed(weights.SEED)
    network = build()
    fit(network)
    settle_statistics(network)
    trained = trained_arrays(network)
    state = weights.assemble(trained)
    hits, n, span = evaluate(state)
    interval = binomtest(hits, n).proportion_ci(method="exact")
    print(
        f"held-out top-1 {hits / n:.4f} ({hits} of {n}, 95 % interval {interval.low:.4f} to {interval.high:.4f}); "
        f"all logits span at most {span:.2f} times the ten's"
    )
    if hits / n < BAR:
        raise SystemExit(f"below the bar of {BAR:.0%}: nothing written")
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    safetensors.numpy.save_file(trained, temporary)
    temporary.replace(out)
    print(f"{out}: {out.stat().st_size} bytes; STATE_DICT_SHA256 = {weights.fingerprint(state)}")


if __name__ == "__main__":
    main()
