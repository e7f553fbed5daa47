"""Networks as a user's package makes them, for ``check tests.pipeline.tools.check.networks:NAME``."""

import os
import signal
import sys
import time

import torch
from torch import Tensor, nn


class Steady(nn.Module):
    """Rows that cannot depend on others: exact sums of small integers."""

    def forward(self, images: Tensor) -> Tensor:
        """Counts of values above each of three limits."""
        return torch.stack([(images > limit).flatten(1).sum(1).float() for limit in (-1, 0, 1)], 1)


class Mixing(Steady):
    """Takes the mean of the batch."""

    def forward(self, images: Tensor) -> Tensor:
        """As before, less the batch's mean."""
        rows = super().forward(images)
        return rows - rows.mean(0, keepdim=True)


class Constant(nn.Module):
    """The same row for every image."""

    def forward(self, images: Tensor) -> Tensor:
        """Ones."""
        return torch.ones(len(images), 3)


class ConstantClass(nn.Module):
    """The same class for every image."""

    def forward(self, images: Tensor) -> Tensor:
        """The number of the class, int64."""
        return torch.full((len(images),), 7)


class Whole(nn.Module):
    """One value for the whole batch."""

    def forward(self, images: Tensor) -> Tensor:
        """The mean of all."""
        return images.mean()


class NotANumber(Steady):
    """NaN."""

    def forward(self, images: Tensor) -> Tensor:
        """NaN in every row."""
        return super().forward(images) * float("nan")


class Crash(nn.Module):
    """Ends its process when it is run."""

    def forward(self, images: Tensor) -> Tensor:
        """Never returns."""
        os.kill(os.getpid(), signal.SIGSEGV)
        return images


class Hang(nn.Module):
    """Never answers."""

    def forward(self, images: Tensor) -> Tensor:
        """Sleeps."""
        time.sleep(3600)
        return images


def convolving() -> nn.Module:
    """Three layers whose bits may depend on the size of the batch."""
    layers = (nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 24 * 24, 7))
    return nn.Sequential(*layers).eval()


def steady() -> nn.Module:
    """Batch-invariant by construction."""
    return Steady().eval()


def mixing() -> nn.Module:
    """The same, mixing its images."""
    return Mixing().eval()


def dropout() -> nn.Module:
    """A part is left in training mode."""
    net = nn.Sequential(Steady(), nn.Dropout(0.5)).eval()
    net[1].train()
    return net


def never_set() -> nn.Module:
    """Left in training mode as a whole."""
    return nn.Sequential(Steady(), nn.Dropout(0.5))


def leaves() -> nn.Module:
    """Reads its command line."""
    sys.exit("usage: train.py DATA")


def constant() -> nn.Module:
    """All rows equal."""
    return Constant().eval()


def constant_class() -> nn.Module:
    """All classes equal."""
    return ConstantClass().eval()


def turning() -> nn.Module:
    """Batch-invariant, and with numbers that a study does not store."""
    net = Steady()
    net.register_buffer("turns", torch.ones(2, dtype=torch.complex64))
    return net.eval()


def whole() -> nn.Module:
    """No batch axis."""
    return Whole().eval()


def not_a_number() -> nn.Module:
    """NaN."""
    return NotANumber().eval()


def crash() -> nn.Module:
    """A fault in native code."""
    return Crash().eval()


def hang() -> nn.Module:
    """Silent for ever."""
    return Hang().eval()


def refuses() -> nn.Module:
    """A factory that raises."""
    raise OSError("no such weights here")


def rows() -> nn.Module:
    """Takes rows of seven numbers, no pictures."""
    return nn.Linear(7, 2).eval()


class Nothing(Steady):
    """Rows without a value."""

    def forward(self, images: Tensor) -> Tensor:
        """[n, 0]."""
        return super().forward(images)[:, :0]


class Few(Steady):
    """Takes three images at most."""

    def forward(self, images: Tensor) -> Tensor:
        """As before, with a table of three rows added."""
        return super().forward(images) + torch.zeros(3, 3)[: len(images)]


def valueless() -> nn.Module:
    """Outputs of no values."""
    return Nothing().eval()


def few() -> nn.Module:
    """A batch of four is too much."""
    return Few().eval()


def grey_and_half() -> nn.Module:
    """One channel, in float16."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).half().eval()


def meta() -> nn.Module:
    """Parameters without values."""
    return nn.Conv2d(3, 2, 3, device="meta").eval()
