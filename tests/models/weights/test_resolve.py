import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.models.spec.images import IMAGENET, View
from isobatch.models.spec.resolved import ResolvedWeights
from isobatch.models.weights import resolve as weights
from isobatch.models.weights.found import first_entry, view_of
from isobatch.models.weights.networks import architecture, known_models
from isobatch.models.weights.resolve import WeightsError
from isobatch.models.weights.state_dicts import State
from isobatch.models.weights.torchvision_compat import torchvision

MODEL = "shufflenet_v2_x0_5"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def resolve(name: str, cache: Path, model: str = MODEL, offline: bool = False) -> ResolvedWeights:
    return weights.resolve(name, model, cache, offline, lambda text: None)


def published(state: State, hub: Path, monkeypatch: pytest.MonkeyPatch, name: str = "imagenet-v1") -> Path:
    """A cached checkpoint under torchvision's name for these weights, with a hash that fits, as of torchvision."""
    torch.save(state, hub / "net.pth")
    path = (hub / "net.pth").rename(hub / f"net-{file_sha256(hub / 'net.pth')[:8]}.pth")

    def download(**options: Any) -> None:
        raise AssertionError("nothing may be downloaded")

    view: dict[str, Any] = {"crop_size": 40, "resize_size": 50, "mean": (0.5,) * 3}
    view["interpolation"] = torchvision.transforms.InterpolationMode.BICUBIC
    entry = SimpleNamespace(
        url=f"https://example.org/{path.name}",
        get_state_dict=download,
        meta={"categories": ["a"] * 7},
        transforms=lambda: torchvision.transforms._presets.ImageClassification(**view),
    )
    monkeypatch.setattr(weights, "published", lambda wanted, model: entry if wanted == name else None)
    return path


def test_a_file_is_resolved_to_the_cache_by_its_content(small_state: State, tmp_path: Path) -> None:
    torch.save({"state_dict": small_state}, tmp_path / "mine.pth")
    save_file(small_state, tmp_path / "same.safetensors")
    resolved = resolve(str(tmp_path / "mine.pth"), tmp_path)
    assert (resolved.source, resolved.num_classes) == ("mine.pth", 7)
    assert resolved.note == "its state dict under 'state_dict' is used"
    assert resolved.path == str(tmp_path / "weights" / f"{resolved.sha256}.safetensors")
    assert torch.equal(load_file(resolved.path)["fc.weight"], small_state["fc.weight"])
    assert resolve(str(tmp_path / "same.safetensors"), tmp_path).sha256 == resolved.sha256
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [Path(resolved.path).name]


def test_an_intact_cache_file_is_kept_and_a_damaged_one_written_anew(small_state: State, tmp_path: Path) -> None:
    save_file(small_state, tmp_path / "mine.safetensors")
    resolved = resolve(str(tmp_path / "mine.safetensors"), tmp_path)
    inode = os.stat(resolved.path).st_ino
    resolve(str(tmp_path / "mine.safetensors"), tmp_path)
    assert os.stat(resolved.path).st_ino == inode
    damaged = bytearray(Path(resolved.path).read_bytes())
    damaged[-1] ^= 1
    Path(resolved.path).write_bytes(damaged)
    resolve(str(tmp_path / "mine.safetensors"), tmp_path)
    assert torch.equal(load_file(resolved.path)["conv5.0.weight"], small_state["conv5.0.weight"])


def test_a_keyword_wins_over_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("random").write_text("not weights")
    assert resolve("random", tmp_path, MODEL).source == "random"
    with pytest.raises(WeightsError, match="random cannot be read as weights"):
        resolve("./random", tmp_path, MODEL)


@pytest.mark.parametrize(
    ("name", "model", "complaint"),
    [
        ("imagenet", "resnet18", "no weights 'imagenet': it is neither a file nor one of auto, digits, imagenet-v2"),
        ("digits", "resnet18", "the digits weights are for resnet50, not resnet18: choose --weights random or a file"),
        (
            "imagenet-v2",
            "resnet18",
            "torchvision has no imagenet-v2 weights for resnet18: choose imagenet-v1 or random",
        ),
        ("auto", "resnet81", "did you mean 'resnet18'"),
    ],
)
def test_what_cannot_be_had_is_answered_with_what_can(name: str, model: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=complaint):
        resolve(name, tmp_path, model)


def test_auto_takes_cached_imagenet_weights(
    small_state: State, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(small_state, hub, monkeypatch)
    resolved = resolve("auto", tmp_path, offline=True)
    assert resolved.source == "imagenet-v1" and resolved.class_names == ("a",) * 7
    assert resolved.view == View(40, 50, "bicubic", (0.5, 0.5, 0.5), IMAGENET.std, forced=True)
    assert (resolved.view_from, resolved.view_assumed) == ("torchvision's entry for imagenet-v1", False)


@pytest.mark.parametrize(
    ("model", "view"),
    [
        ("resnet18", IMAGENET),
        ("efficientnet_b0", View(224, 256, "bicubic")),
        ("inception_v3", View(299, 342)),
        ("efficientnet_v2_l", View(480, 480, "bicubic", (0.5,) * 3, (0.5,) * 3)),
    ],
)
def test_weights_of_the_users_own_see_what_torchvisions_first_entry_asks_for(model: str, view: View) -> None:
    assert view_of(first_entry(model)) == view


def test_every_classifier_has_a_view() -> None:
    for model in known_models():
        view = view_of(first_entry(model))
        assert view.interpolation in ("bilinear", "bicubic") and view.resize >= view.size >= 224


def test_auto_downloads_nothing_and_names_the_command_that_would(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_download", lambda *given: pytest.fail("auto must not download"))
    resolved = resolve("auto", tmp_path, MODEL)
    assert resolved.source == "random"
    assert resolved.offer == "ImageNet weights: python run.py --model shufflenet_v2_x0_5 --weights imagenet-v1"


def test_a_damaged_hub_file_is_refused_though_torch_would_load_it(
    small_state: State, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = published(small_state, hub, monkeypatch)
    torch.save(small_state | {"fc.bias": torch.zeros(7)}, path)
    for name in ("imagenet-v1", "auto"):
        with pytest.raises(
            WeightsError, match=r"is damaged or was altered: its SHA-256 begins with .{8}, not .{8}; delete"
        ):
            resolve(name, tmp_path)


def test_offline_downloads_nothing(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_download", lambda *given: pytest.fail("--offline must not download"))
    with pytest.raises(WeightsError, match=r"imagenet-v1 of shufflenet_v2_x0_5 is not in .*, and --offline forbids"):
        resolve("imagenet-v1", tmp_path, offline=True)


def test_a_failed_download_says_from_where_and_what_else_there_is(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*given: Any, **options: Any) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(WeightsError, match=r"could not be downloaded from https://.*: network is unreachable; check"):
        resolve("imagenet-v1", tmp_path)


def test_the_embedded_digits_are_the_default_for_resnet50(hub: Path, tmp_path: Path) -> None:
    resolved = resolve("auto", tmp_path, "resnet50")
    assert (resolved.source, resolved.num_classes) == ("digits", 1000)
    assert resolved.offer == "ImageNet weights: python run.py --weights imagenet-v2"


def renamed(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def test_what_was_read_from_a_checkpoint_is_said(small_state: State, tmp_path: Path) -> None:
    torch.save({"state_dict": renamed(small_state, "model."), "state_dict_ema": small_state}, tmp_path / "mine.pth")
    resolved = resolve(str(tmp_path / "mine.pth"), tmp_path)
    assert resolved.note == "its state dict under 'state_dict' is used; the prefix 'model.' of its names is left off"
    ((code, text),) = resolved.warnings
    assert code == "other-weights" and text.endswith(
        "and not 'state_dict_ema' (averaged): --state-dict state_dict_ema takes the other"
    )
    mean = weights.resolve(str(tmp_path / "mine.pth"), MODEL, tmp_path, False, lambda text: None, "state_dict_ema")
    assert (mean.warnings, mean.note) == ((), "its state dict under 'state_dict_ema' is used")


def test_a_key_of_a_state_dict_belongs_to_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="'ema' belongs to a file, and --weights random is none"):
        weights.resolve("random", MODEL, tmp_path, False, lambda text: None, "ema")


def test_left_out_tensors_are_a_warning(small_state: State, tmp_path: Path) -> None:
    save_file({**small_state, "criterion.weight": torch.ones(7)}, tmp_path / "mine.safetensors")
    ((code, text),) = resolve(str(tmp_path / "mine.safetensors"), tmp_path).warnings
    assert code == "weights-left-out" and text.endswith("left out: criterion.weight")


def test_a_network_of_grey_images_is_seen_from_its_weights(small_state: State, tmp_path: Path) -> None:
    grey = small_state | {"conv1.0.weight": small_state["conv1.0.weight"][:, :1].contiguous()}
    save_file(grey, tmp_path / "grey.safetensors")
    resolved = resolve(str(tmp_path / "grey.safetensors"), tmp_path)
    assert (resolved.model, resolved.note) == (f"{MODEL}[channels=1]", "its first convolution takes 1 channel")


def test_what_the_weights_do_not_hold_is_asked_for(tmp_path: Path) -> None:
    state = dict(architecture("googlenet", 3).state_dict())
    save_file(state, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"does not say whether .* give --model 'googlenet\[transform_input=yes\]'"):
        resolve(str(tmp_path / "mine.safetensors"), tmp_path, "googlenet")
    resolved = resolve(str(tmp_path / "mine.safetensors"), tmp_path, "googlenet[transform_input=no]")
    assert (resolved.model, resolved.num_classes) == ("googlenet[transform_input=no]", 3)


def test_a_head_of_another_build_is_named_with_both_shapes_and_its_remedy_works(
    small_state: State, tmp_path: Path
) -> None:
    other = {name.replace("fc.", "fc.1."): tensor for name, tensor in small_state.items()}
    save_file(other, tmp_path / "mine.safetensors")
    told = r"it has fc\.1\.bias \[7\], fc\.1\.weight \[7, 1024\], where fc\.weight \[classes, 1024\]"
    with pytest.raises(WeightsError, match=told) as refusal:
        resolve(str(tmp_path / "mine.safetensors"), tmp_path)
    remedy = re.search(r"torch\.save\((.*), 'weights\.pth'\)", str(refusal.value))
    assert remedy is not None
    plain = eval(remedy[1], {"net": SimpleNamespace(state_dict=lambda: other)})
    assert plain.keys() == small_state.keys()
