import json
from pathlib import Path
from typing import Any

import pytest

from isobatch.models.spec.images import View
from isobatch.models.weights.beside import CONFIGURATION, PROCESSOR, read_beside

HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
VIT = {**HALF, "size": {"height": 224, "width": 224}, "resample": 2, "rescale_factor": 0.00392156862745098}
TIMM = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 240, 240], "crop_pct": 0.95, "interpolation": "bicubic"}


@pytest.mark.parametrize(
    ("name", "data", "view"),
    [
        (PROCESSOR, VIT, View(224, 224, "bilinear", (0.5,) * 3, (0.5,) * 3, resize_to=(224, 224))),
        (
            PROCESSOR,
            {**HALF, "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3},
            View(224, 256, "bicubic", (0.5,) * 3, (0.5,) * 3),
        ),
        (
            PROCESSOR,
            {**HALF, "size": {"shortest_edge": 224}, "crop_pct": 0.875, "do_center_crop": False},
            View(224, 256, "bilinear", (0.5,) * 3, (0.5,) * 3),
        ),
        (
            PROCESSOR,
            {**HALF, "size": {"shortest_edge": 384}, "crop_pct": 0.875},
            View(384, 384, "bilinear", (0.5,) * 3, (0.5,) * 3, resize_to=(384, 384)),
        ),
        (
            PROCESSOR,
            {"size": {"shortest_edge": 64}, "do_normalize": False, "do_rescale": False},
            View(64, 64, "bilinear", (0.0,) * 3, (1.0,) * 3, scale=1.0),
        ),
        (CONFIGURATION, {"pretrained_cfg": TIMM}, View(240, 252, "bicubic", (0.5,) * 3, (0.5,) * 3)),
        (
            CONFIGURATION,
            {**TIMM, "crop_pct": 1.0, "crop_mode": "squash"},
            View(240, 240, "bicubic", (0.5,) * 3, (0.5,) * 3, resize_to=(240, 240)),
        ),
    ],
)
def test_what_a_file_beside_the_network_says(name: str, data: dict[str, Any], view: View, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(data))
    assert read_beside(tmp_path / "net.onnx") == (view, f"{name} beside it")


def test_a_graph_in_a_folder_of_its_own_and_the_processor_first(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / CONFIGURATION).write_text(json.dumps(TIMM))
    (tmp_path / PROCESSOR).write_text(json.dumps(VIT))
    assert read_beside(tmp_path / "onnx" / "net.onnx").said == "preprocessor_config.json beside it"


@pytest.mark.parametrize(
    "text", ["", "3", "{", '{"size": "big", "image_mean": 3}', json.dumps({**VIT, "resample": 1}), '{"size": {}}']
)
def test_what_cannot_be_read_is_said_and_not_used(text: str, tmp_path: Path) -> None:
    (tmp_path / PROCESSOR).write_text(text)
    beside = read_beside(tmp_path / "net.onnx")
    assert beside.view is None
    assert beside.said == "preprocessor_config.json beside it does not say it in a way that is known"


def test_nothing_beside(tmp_path: Path) -> None:
    (tmp_path / CONFIGURATION).write_text(json.dumps({"model_type": "vit"}))
    assert read_beside(tmp_path / "net.onnx") == (None, "")
