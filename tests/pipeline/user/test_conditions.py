"""A repair over several thread counts and image sizes: planted kernels that depend on N only under one of them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isobatch.models.pytorch.runner import torch_threads
from isobatch.pipeline import CannotRepair, compare_batch_invariance, make_batch_invariant
from isobatch.pipeline.user.asked import conditions
from tests.models.pytorch.small_networks import pixels, with_planted

IMAGES = pixels(4)


@torch.library.custom_op("isobatch_tests::where", mutates_args=())
def _where(x: Tensor, threads: int, side: int) -> Tensor:
    x = x.clone()
    if len(x) > 1 and (torch.get_num_threads() == threads or x.shape[-1] == side):
        x[:, 0] = torch.nextafter(x[:, 0], torch.full_like(x[:, 0], torch.inf))
    return x


class Where(nn.Module):
    """A kernel whose rows depend on N with so many threads, or on images of this side."""

    def __init__(self, threads: int = 0, side: int = 0) -> None:
        super().__init__()
        self.threads, self.side = threads, side

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _where(x, self.threads, self.side)
        return result


class MixesLarge(nn.Module):
    """Images leak into one another, on larger ones only."""

    def forward(self, x: Tensor) -> Tensor:
        return x - 0.5 * x.amax(0) if x.shape[-1] > 4 else x


def test_the_conditions_are_every_thread_count_with_every_size() -> None:
    with torch_threads(1):
        tested = conditions(IMAGES, [16, 24], [1, 2])
    assert [(one.threads, one.rows.shape[2]) for one in tested] == [(1, 16), (1, 24), (2, 16), (2, 24)]
    assert tested[0].rows is IMAGES and set(np.unique(tested[1].rows)) <= set(np.unique(IMAGES))
    with torch_threads(1):
        assert [condition.threads for condition in conditions(IMAGES, [], [2, 3])] == [3, 2]
        assert [condition.threads for condition in conditions(IMAGES, [], [])] == [1]
    for sizes, threads in (([0], []), ([], [0])):
        with pytest.raises(ValueError, match="whole numbers from 1 on"):
            conditions(IMAGES, sizes, threads)
    with pytest.raises(ValueError, match="one input of images"):
        conditions(IMAGES.reshape(4, -1), [8], [])


@pytest.mark.parametrize(
    ("planted", "asked"), [(Where(threads=2), {"threads": [1, 2]}), (Where(side=6), {"image_sizes": [24]})]
)
def test_what_depends_on_n_only_there_is_repaired_where_that_is_asked(
    planted: nn.Module, asked: dict[str, list[int]]
) -> None:
    network = with_planted(planted).eval()
    with torch_threads(1):
        assert make_batch_invariant(network, IMAGES).repair.name == "native"
        made = make_batch_invariant(network, IMAGES, seconds=3600, **asked)  # type: ignore[arg-type]
        assert torch.get_num_threads() == 1
        elsewhere = conditions(IMAGES, asked.get("image_sizes", []), asked.get("threads", []))[-1]
    assert made.repair.name in ("surgical", "pin-shape")
    (there,) = made.also_verified
    assert there.batch_invariant
    assert all(str(one.tested) in made.repair.scope for one in (there, made.verified))
    with torch_threads(elsewhere.threads):
        assert not compare_batch_invariance(network, elsewhere.rows).batch_invariant
        assert compare_batch_invariance(made.network, elsewhere.rows).batch_invariant


def test_one_that_needs_nothing_says_where_it_was_looked_at() -> None:
    made = make_batch_invariant(with_planted(nn.Identity()).eval(), IMAGES, image_sizes=[24], threads=[1, 2])
    assert made.repair.name == "native" and len(made.also_verified) == 3
    assert (
        "float32 [3, 24, 24], 1 thread" in made.repair.scope and "float32 [3, 24, 24], 2 threads" in made.repair.scope
    )
    assert made.repair.n_comparisons == 4 * 3


def test_one_that_mixes_there_is_refused() -> None:
    with pytest.raises(CannotRepair, match=r"^neighbour-leak: "):
        make_batch_invariant(with_planted(MixesLarge()).eval(), IMAGES, image_sizes=[24])
