import hashlib
from pathlib import Path

import torch

from isobatch.models.pytorch.seed_images import draw


def recipe(count: int, size: int) -> bytes:
    torch.manual_seed(42069)
    return bytes((torch.randn((count, 3, size, size)) * 10).numpy().tobytes())


def test_the_recipe_of_the_original_question(tmp_path: Path) -> None:
    sha256 = draw(tmp_path / "a" / "seed.f32", 42069, 4, 400)
    stored = (tmp_path / "a" / "seed.f32").read_bytes()
    assert stored == recipe(4, 400)
    assert sha256 == hashlib.sha256(stored).hexdigest()


def test_more_and_fewer_images_begin_with_the_same_bytes(tmp_path: Path) -> None:
    for count in (1, 2, 3, 5, 10):
        draw(tmp_path / "seed.f32", 42069, count, 40)
        assert (tmp_path / "seed.f32").read_bytes() == recipe(count, 40)


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    draw(tmp_path / "seed.f32", 7, 1, 4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [path.name for path in tmp_path.iterdir()] == ["seed.f32"]
