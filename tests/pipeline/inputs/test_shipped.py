"""The sets that need nothing from the user: seed, digits, photos."""

from pathlib import Path

import pytest
import torch

from isobatch.models.pytorch import seed_images
from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.models.spec.images import IMAGENET, normalise
from isobatch.models.weights.digits import data
from isobatch.pipeline.inputs import InputError
from isobatch.pipeline.inputs.shipped import CALIBRATION_PHOTOS, CROPS, FOLDER, PHOTOS

from .helpers import only_set, rows


def test_the_seed_set_is_drawn_once_a_part(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "seed")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["seed-calibration.f32", "seed-evaluation.f32"]
    for part, seed in ((prepared_set.evaluation, 42069), (prepared_set.calibration, 42070)):
        assert part is not None
        drawn = torch.randn(part.shape, generator=torch.Generator().manual_seed(seed)) * 10
        assert part.read(0, len(part)).tobytes() == drawn.numpy().tobytes()
    assert prepared_set.record.source == "torch.manual_seed(42069); torch.randn((4, 3, 400, 400)) * 10"
    assert (prepared_set.record.n, prepared_set.record.shape, prepared_set.record.labelled) == (4, [3, 400, 400], False)
    assert prepared_set.evaluation.read(0, 4).tobytes() == Path(prepared_set.evaluation.path).read_bytes()
    assert "torch.manual_seed(42070)" in prepared_set.calibration_note
    assert file_sha256(Path(prepared_set.evaluation.path)) == prepared_set.evaluation.sha256


def test_another_count_and_another_seed(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "seed", images=5, seed=7)
    assert prepared_set.evaluation.shape == (5, 3, 400, 400)
    assert prepared_set.record.source.startswith("torch.manual_seed(7); torch.randn((5, ")


def test_a_draw_that_ignores_its_seed_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = seed_images.draw
    monkeypatch.setattr(seed_images, "draw", lambda path, seed, *shape: draw(path, 0, *shape))
    with pytest.raises(InputError) as caught:
        only_set(tmp_path, "seed")
    assert caught.value.code == "calibration-overlap"


def test_digits_are_the_first_of_the_held_out_split(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "digits", image_size=32)
    pictures, labels = data.load()
    heldout = data.split("heldout")[:16]
    assert prepared_set.evaluation.labels == tuple(labels[heldout])
    expected = normalise(data.enlarge(pictures[heldout], 32), IMAGENET.mean, IMAGENET.std)
    assert prepared_set.evaluation.read(0, 16).tobytes() == expected.tobytes()
    assert prepared_set.calibration is not None
    assert (len(prepared_set.calibration), prepared_set.calibration.labels) == (32, None)


def test_the_digits_bytes_are_the_same_everywhere(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "digits", image_size=224)
    assert prepared_set.calibration is not None
    assert prepared_set.evaluation.sha256 == "5d850ea45c9cba0996b935fa8336300f5985d94b52866d51121ccb53d44996cb"
    assert prepared_set.calibration.sha256 == "41d131f795a3048e5165ad1330429700279039fa3d38d22732e2cf26397ba957"


def test_labelled_digits_are_prepared_when_asked_for(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "digits")
    assert prepared_set.labelled is not None
    assert not (tmp_path / "out" / "digits-labelled.u8").exists()
    larger = prepared_set.labelled().images
    assert prepared_set.calibration is not None
    assert len(larger) == len(larger.labels or ()) == 400
    assert not {*rows(larger)} & {*rows(prepared_set.calibration)}


def test_more_digits_than_there_are(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "digits", images=1000)
    assert prepared_set.record.n == len(prepared_set.evaluation) == 490
    assert "1000 were asked, 490 are held out" in prepared_set.record.note


@pytest.mark.parametrize("weights", ["random", "imagenet-v2", "mine.safetensors"])
def test_digits_have_no_labels_for_weights_that_do_not_know_them(tmp_path: Path, weights: str) -> None:
    prepared_set = only_set(tmp_path, "digits", weights=weights)
    assert not prepared_set.record.labelled
    assert prepared_set.labelled is None
    assert prepared_set.evaluation.labels is None


def test_photos_are_crops_of_disjoint_pictures(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "photos", image_size=224)
    assert not {*PHOTOS} & {*CALIBRATION_PHOTOS}
    assert prepared_set.calibration is not None
    assert (prepared_set.record.n, len(prepared_set.calibration)) == (16, 32)
    assert "crops of one photograph are one cluster" in prepared_set.record.note
    assert prepared_set.evaluation.sha256 == "f8dfbb7bdf9ac55f52b2acf106be6fdbdff38f376f40c73e410b6abc5ad99862"
    assert prepared_set.calibration.sha256 == "9d9090f19a66bd6ef572ff09040112b46cb75d135e1140b100109fe8849e6cea"


def test_every_crop_of_every_photograph_is_distinct(tmp_path: Path) -> None:
    prepared_set = only_set(tmp_path, "photos", images=1000)
    assert prepared_set.record.n == len(prepared_set.evaluation) == len(PHOTOS) * len(CROPS)
    assert f"1000 were asked, there are {len(prepared_set.evaluation)}" in prepared_set.record.note


def test_photographs_are_small_and_each_has_a_licence() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {*PHOTOS, *CALIBRATION_PHOTOS, "LICENSE-DATA"}
    licences = (FOLDER / "LICENSE-DATA").read_text()
    assert all(name in licences for name in (*PHOTOS, *CALIBRATION_PHOTOS))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


def test_normalisation_is_that_of_the_digits(tmp_path: Path) -> None:
    evaluated = only_set(tmp_path, "photos").evaluation
    assert (evaluated.mean, evaluated.std) == (IMAGENET.mean, IMAGENET.std)
