"""A study of the network that a user's own function makes, and of grey pictures, from the command line to the end."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from isobatch import PROGRAM
from isobatch.pipeline.records.study import Study
from tests.in_process import Commands, Ended
from tests.models.ort.small_onnx import classifier

NETS = """
import torch
from torch import nn
from .parts import block

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = block(), nn.Linear(8, 4)
    def forward(self, x):
        features = self.body(x).mean((2, 3))
        return {"features": features, "embedding": nn.functional.normalize(self.head(features), dim=1)}

def two():
    return Two().eval()

def rows():
    return nn.Linear(7, 2).eval()

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 3)
    def forward(self, ids, mask=None):
        hidden = self.table(ids) * mask.unsqueeze(-1)
        return {"logits": self.head(hidden.sum(1)), "hidden": hidden}

def tokens():
    return Tokens()

class OfOneSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 32 * 32, 4)
    def forward(self, x):
        return self.head(x.flatten(1))

def of_one_size():
    return OfOneSize().eval()

class Grows(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = block()
    def forward(self, x):
        rows = self.body(x).mean((2, 3))
        return rows @ rows.T

def grows():
    return Grows().eval()

class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 8, 3, 2).half(), nn.Linear(8, 4)
    def forward(self, x):
        return self.head(self.body(x.half()).float().relu().mean((2, 3)))

def mixed():
    return Mixed().eval()

class OfOtherKinds(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = block(), nn.Linear(8, 4)
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
    def forward(self, *, x):
        rows = self.head(self.body(x).mean((2, 3)).float())
        last = torch.softmax(rows.unsqueeze(1) + self.mask, -1)[:, -1]
        return {"logits": rows, "above": last > 0.25, "spectrum": torch.fft.fft(last), "short": rows.bfloat16()}

def of_other_kinds():
    return OfOtherKinds().eval()
class FewAtOnce(Two):
    def forward(self, x):
        if len(x) > 4:
            raise LookupError("no plan for so many")
        return super().forward(x)

def few_at_once():
    return FewAtOnce().eval()
"""
PARTS = """
from torch import nn
def block():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
"""


def run(commands: Commands, folder: Path, *flags: str) -> Ended:
    own = folder / "mine"
    own.mkdir(exist_ok=True)
    for name, text in (("__init__.py", ""), ("nets.py", NETS), ("parts.py", PARTS)):
        (own / name).write_text(text)
    return commands(
        folder, "--images", "8", "--batch-sizes", "2,4", "--no-explain", "--no-repair", "--race-seconds", "0",
        "--certify", "off", "--quiet", *flags,
    )  # fmt: skip


def test_a_factory_is_studied_in_both_runtimes_and_its_code_is_not_shipped(tmp_path: Path, commands: Commands) -> None:
    ended = run(
        commands, tmp_path, "--model", "mine.nets:two", "--variants", "fp32,ort-fp32,int8-x86", "--inputs", "photos",
        "--image-size", "32", "--outcome", "embedding", "--out", "run",
    )  # fmt: skip
    assert ended.code in (0, 1, 3), ended.stderr
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    assert study.weights.model.startswith("mine.nets:two[code=") and study.weights.source == "factory"
    assert "outcome: embedding of 'features'" in study.weights.note
    by_name = {variant.name: variant for variant in study.variants}
    assert {name: one.status for name, one in by_name.items()} == {
        "fp32": "measured", "ort-fp32": "measured", "int8-x86": "unavailable"
    }  # fmt: skip
    assert "torchvision has no such mine.nets:two" in (by_name["int8-x86"].reason or "")
    for variant in (by_name["fp32"], by_name["ort-fp32"]):
        (error,) = [comparison for comparison in variant.comparisons if comparison.kind == "vs-reference"]
        assert error.max_abs_relative is not None and float(error.max_abs_relative) < 1e-4
        assert error.recall_at_k is not None and set(error.recall_at_k) == {"1", "5"}
    refused = commands(tmp_path, "deploy", "run", "--variant", "fp32", "--out", "shipped")
    assert refused.code == 2 and "code that is the user's own" in refused.stderr and "ort-" in refused.stderr
    repaired = commands(tmp_path, "repair", "--variant", "fp32", "--model", "mine.nets:two", "--out", "repaired")
    assert repaired.code == 2 and "isobatch.make_batch_invariant" in repaired.stderr


def test_a_network_that_casts_to_the_types_of_its_parts_is_studied_as_its_graph(
    tmp_path: Path, commands: Commands
) -> None:
    (tmp_path / "photos").mkdir()
    ended = run(
        commands, tmp_path, "--model", "mine.nets:mixed", "--inputs", "photos", "--image-size", "32", "--out", "run"
    )
    assert ended.code == 3, ended.stderr  # other variants are made from a float32 graph
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    (given, *others) = study.variants
    assert (given.name, given.status, given.verdict) == ("ort-fp32", "measured", given.verdict) and given.verdict
    assert {other.status for other in others} == {"unavailable"}
    told = next(warning.text for warning in study.warnings if warning.code == "exported-for-arrays")
    assert "casts to float16 and float32" in told and told.endswith("check mine.nets:mixed")
    passed_over = next(warning.text for warning in study.warnings if warning.code == "inputs-not-read")
    assert passed_over.endswith("--inputs ./photos reads it")


def test_a_network_that_does_not_run_in_float64_is_measured_against_fp32(tmp_path: Path, commands: Commands) -> None:
    ended = run(
        commands, tmp_path, "--model", "mine.nets:of_other_kinds", "--variants", "fp32,ort-fp32", "--inputs", "photos",
        "--image-size", "32", "--out", "run",
    )  # fmt: skip
    assert ended.code in (0, 1), ended.stderr
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    (told,) = [warning.text for warning in study.warnings if warning.code == "no-reference"]
    assert "measured against fp32: mat1 and mat2" in told
    fp32, exported = study.variants
    assert study.reference == "fp32" and fp32.status == "measured" and exported.agreement is not None
    assert exported.agreement.reference == "fp32" and exported.agreement.share == 1
    (error,) = [comparison for comparison in exported.comparisons if comparison.kind == "vs-reference"]
    assert error.max_abs_relative is not None and float(error.max_abs_relative) < 1e-2  # of rows with bfloat16 in them


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--model", "nowhere.nets:two"), "cannot be imported"),
        (("--model", "mine.nets:three"), "has no 'three'"),
        (("--model", "mine.nets:rows"), "FILE.npz with an array for each argument by name"),
        (("--model", "mine.nets:grows"), "has the shape [1, 1] for one and [2, 2] for two"),
        (("--model", "mine.nets:two", "--engine", "ray"), "sends no code of your own"),
        (("--model", "mine.nets:two", "--weights", "digits"), "digits weights are for resnet50"),
    ],
)
def test_what_cannot_be_studied_is_one_line(
    tmp_path: Path, commands: Commands, flags: tuple[str, ...], said: str
) -> None:
    ended = run(commands, tmp_path, *flags, "--variants", "fp32", "--image-size", "32", "--inputs", "photos")
    assert ended.code == 2 and said in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_network_that_takes_few_images_at_once_is_measured_at_those(tmp_path: Path, commands: Commands) -> None:
    flags = ("--model", "mine.nets:few_at_once", "--variants", "fp32", "--image-size", "32", "--inputs", "photos")
    ended = run(commands, tmp_path, *flags, "--images", "6", "--out", "run")
    assert ended.code in (0, 1), ended.stderr  # N = 2 and 4, whatever its kernels do
    refused = run(commands, tmp_path, *flags, "--images", "6", "--batch-sizes", "6", "--out", "more")
    assert refused.code in (1, 3) and "no plan for so many" in refused.stdout


def test_where_the_seed_set_is_of_another_size_than_the_network_takes_the_remedy_works(
    tmp_path: Path, commands: Commands
) -> None:
    flags = ("--model", "mine.nets:of_one_size", "--variants", "fp32", "--image-size", "32", "--quick")
    refused = run(commands, tmp_path, *flags)
    assert refused.code == 2 and "Give --inputs photos --image-size of a size that it takes" in refused.stderr
    assert run(commands, tmp_path, *flags, "--inputs", "photos").code in (0, 1)  # measured, whatever its kernels do


def test_the_graph_of_a_network_of_one_size_is_made_for_the_size_of_the_arrays(
    tmp_path: Path, commands: Commands
) -> None:
    np.save(tmp_path / "given.npy", np.random.default_rng(0).random((6, 3, 32, 32), np.float32))
    flags = ("--model", "mine.nets:of_one_size", "--variants", "fp32,ort-fp32", "--inputs", "given.npy", "--out", "run")
    ended = run(commands, tmp_path, *flags)
    assert ended.code in (0, 1), ended.stderr  # measured, whatever its kernels do
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    assert [variant.status for variant in study.variants] == ["measured", "measured"]


def test_a_factory_of_several_inputs_is_exported_and_studied(tmp_path: Path, commands: Commands) -> None:
    draws = np.random.default_rng(0)
    ids, mask = draws.integers(0, 50, (12, 6)), draws.integers(0, 2, (12, 6)).astype(np.float32)
    np.savez(tmp_path / "given.npz", ids=ids, mask=mask)
    ended = run(commands, tmp_path, "--model", "mine.nets:tokens", "--inputs", "given.npz", "--variants", "ort-fp32",
                "--out", "run")  # fmt: skip
    assert ended.code in (0, 1), ended.stderr
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    assert study.weights.model == "mine.nets.tokens.onnx" and "classes of 'logits'" in study.weights.note
    told = {warning.code: warning.text for warning in study.warnings}
    assert f"{PROGRAM} check mine.nets:tokens --inputs given.npz" in told["exported-for-arrays"]
    assert "it is measured in eval mode" in told["training-mode"]
    assert "inputs/s" in ended.stdout and " images" not in ended.stdout
    assert "8 of 12 inputs are measured" in (tmp_path / "run" / "report.md").read_text()
    for model, given, said in (
        ("mine.nets:rows", "given.npz", "takes (input) and cannot be run on ids int64 [n, 6], mask float32 [n, 6]"),
        ("mine.nets:tokens", "none.npz", "no inputs 'none.npz'"),
    ):
        refused = run(commands, tmp_path, "--model", model, "--inputs", given, "--variants", "ort-fp32")
        assert refused.code == 2 and said in refused.stderr, refused.stderr


def test_grey_pictures_of_a_grey_file_are_normalised_as_asked(tmp_path: Path, commands: Commands) -> None:
    model = classifier(("n", 1, 24, 32))
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4 and tensor.dims[1] == 3:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, :1], tensor.name))
    onnx.save(model, tmp_path / "grey.onnx")
    (tmp_path / "pictures").mkdir()
    draws = np.random.default_rng(0)
    for place in range(8):
        pixels = draws.integers(0, 256, (24, 32), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{place}.png")
    stored = [np.asarray(Image.open(tmp_path / "pictures" / f"{place}.png")) for place in range(8)]
    np.save(tmp_path / "last.npy", np.stack(stored)[..., np.newaxis])  # NHWC, as photographs are kept
    found = {}
    for given in ("pictures", "last.npy"):
        ended = run(
            commands, tmp_path, "--onnx", "grey.onnx", "--inputs", given, "--mean", "0.5", "--std", "0.25",
            "--variants", "ort-fp32", "--out", f"run-{given}",
        )  # fmt: skip
        assert ended.code in (0, 1, 3), ended.stderr
        study = Study.model_validate_json((tmp_path / f"run-{given}" / "report.json").read_text())
        assert study.weights.preprocessing is not None and study.weights.preprocessing.mean == [0.5]
        assert study.inputs[0].shape == [1, 24, 32]
        prints = study.variants[0].fingerprints
        found[given] = {digest.sha256 for digest in prints if digest.batch_size == 1}
    assert found["pictures"] == found["last.npy"]  # the same pixels, the same numbers


def test_a_set_of_one_image_says_why_there_is_no_verdict(tmp_path: Path, commands: Commands) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    np.save(tmp_path / "zeros.npy", np.zeros((24, 3, 24, 32), np.float32))
    ended = run(
        commands, tmp_path, "--onnx", "net.onnx", "--inputs", "zeros.npy", "--variants", "ort-fp32", "--out", "run"
    )
    assert ended.code == 3
    study = Study.model_validate_json((tmp_path / "run" / "report.json").read_text())
    assert study.variants[0].verdict is None
    assert ["one distinct by content" in warning.text for warning in study.warnings if warning.code == "one-image"] == [
        True
    ]
