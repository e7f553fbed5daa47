"""``check`` from its command line, on networks whose answer is known."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch import nn

from isobatch.models.weights.networks import architecture
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.tools.check.asked import CheckRequest, Target
from isobatch.pipeline.tools.check.next_step import next_step
from isobatch.pipeline.tools.check.records import VariantChecked
from isobatch.pipeline.user.results import OriginInShort
from tests.in_process import Commands
from tests.models.ort.small_onnx import classifier
from tests.models.ort.test_check_user_file import reshaping

HERE = "tests.pipeline.tools.check.networks"
ROOT = Path(__file__).resolve().parents[4]
SMALL = ("--input-shape", "3x4x4", "--threads", "1", "--batch-sizes", "1-4")


def test_an_invariant_network_and_its_mixing_twin(commands: Commands) -> None:
    steady = commands(ROOT, "check", f"{HERE}:steady", *SMALL)
    assert (steady.code, steady.stdout.splitlines()[0]) == (
        0,
        f"✓ {HERE}:steady, fp32: batch-invariant at N = 2 to 4",
    )
    assert "at N = 2 and 4 also in other places" in " ".join(steady.stdout.split())
    mixing = commands(ROOT, "check", f"{HERE}:mixing", *SMALL)
    assert mixing.code == 1 and "NOT batch-invariant at N = 2 to 4" in mixing.stdout.splitlines()[0]
    assert "neighbour-leak" in mixing.stdout and "from its own example alone" in mixing.stdout.splitlines()[-1]
    assert len(mixing.stdout.splitlines()) <= 24 and max(map(len, mixing.stdout.splitlines())) <= 100


def test_json_and_junit_say_the_same(commands: Commands, tmp_path: Path) -> None:
    junit = tmp_path / "check.xml"
    ended = commands(
        ROOT, "check", f"{HERE}:mixing", *SMALL, "--variants", "fp32,ort-int8", "--json", "--junit", str(junit),
        "--markdown", str(tmp_path / "check.md"),
    )  # fmt: skip
    report = json.loads(ended.stdout)
    fp32, int8 = report["variants"]
    assert ended.code == 1 and fp32["verdict"] == "batch-variant" and fp32["mixes"] is True
    assert (int8["status"], int8["verdict"]) == ("unavailable", None) and "ONNX" in int8["remedy"]
    at = fp32["sizes"][0]
    assert at["batch_size"] == 2 and 0 < at["elements_differing"] <= at["elements"] and at["flips"] is not None
    assert [1] in fp32["classes"] and fp32["origins"] >= 1
    assert (tmp_path / "check.md").read_text().startswith("### × ")
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "1")


def test_what_cannot_be_written_is_said_before_any_work_and_work_at_once(commands: Commands, tmp_path: Path) -> None:
    refused = commands(ROOT, "check", f"{HERE}:steady", *SMALL, "--junit", str(tmp_path))
    assert (refused.code, refused.stdout) == (2, "") and "it is a folder" in refused.stderr
    assert "loading" not in refused.stderr
    assert "fp32: loading libraries" in commands(ROOT, "check", f"{HERE}:steady", *SMALL).stderr
    assert commands(ROOT, "check", f"{HERE}:steady", *SMALL, "--quiet").stderr == ""


@pytest.mark.parametrize("shape", ["7", "3x32x32,3x32x32"])
def test_a_classifier_of_pictures_takes_no_other_shape(commands: Commands, shape: str) -> None:
    ended = commands(ROOT, "check", "resnet18", "--weights", "random", "--batch-sizes", "2", "--input-shape", shape)
    assert ended.code == 2 and "error [input-shape]: resnet18 takes one input of three dimensions" in ended.stderr


def test_arrays_are_read_from_every_kind_of_file(commands: Commands, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((4, 3, 4, 4), np.float32)
    save_file({"images": images}, tmp_path / "given.safetensors")
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    asked = ("check", f"{HERE}:steady", "--threads", "1", "--batch-sizes", "2")
    given = commands(ROOT, *asked, "--inputs", str(tmp_path / "given.safetensors"), "--json")
    assert json.loads(given.stdout)["variants"][0]["inputs"].endswith("given.safetensors of images float32 [3, 4, 4]")
    damaged = commands(ROOT, *asked, "--inputs", str(tmp_path / "damaged.npz"))
    assert damaged.code == 2 and "error [check-inputs]" in damaged.stderr and "no readable arrays" in damaged.stderr
    np.save(tmp_path / "single.npy", np.float32(3))
    single = commands(ROOT, *asked, "--inputs", str(tmp_path / "single.npy"))
    assert single.code == 2 and "is a single float32: give an array" in single.stderr


@pytest.mark.parametrize(
    ("factory", "code", "said"),
    [
        ("dropout", 1, "NOT repeatable"),
        ("constant", 3, "give the network real weights"),
        ("constant_class", 3, "give examples with other answers"),
        ("whole", 3, "unverified"),
        ("not_a_number", 3, "NaN"),
        ("valueless", 3, "its outputs hold no values"),
        ("crash", 3, "SIGSEGV"),
    ],
)
def test_what_proves_nothing_is_never_zero(commands: Commands, factory: str, code: int, said: str) -> None:
    ended = commands(ROOT, "check", f"{HERE}:{factory}", *SMALL)
    assert (ended.code, said in " ".join(ended.stdout.split())) == (code, True), ended.stdout


@pytest.mark.parametrize(
    ("model", "variant", "advised"),
    [
        ("resnet18", "fp32", "repair --model resnet18 --weights net.pth"),
        ("mine.nets:make", "fp32", "isobatch.make_batch_invariant"),
        ("timm:convnext_atto", "fp32", "isobatch.make_batch_invariant"),
        ("timm:convnext_atto", "ort-fp32", "repair --model timm:convnext_atto --weights net.pth"),
    ],
)
def test_no_repair_is_advised_that_could_not_be_written(model: str, variant: str, advised: str) -> None:
    asked = CheckRequest(Target("checkpoint", "net.pth", model, "net.pth"), (variant,), (2, 3), 1)
    differing = VariantChecked(variant=variant, status="measured", verdict="batch-variant", n_images=3, repairable=True)
    assert advised in next_step(asked, [differing], Exit.NOT_MET)


@pytest.mark.parametrize(("kind", "advised"), [("lstm", "as time"), ("batch-norm", "from its own example alone")])
def test_what_reads_the_batch_as_time_is_sent_to_the_axis(kind: str, advised: str) -> None:
    asked = CheckRequest(Target("onnx", "net.onnx"), ("ort-fp32",), (2, 3), 1)
    layer = OriginInShort(layer="first", kind=kind, batch_sizes=(2, 3))
    mixing = VariantChecked(
        variant="ort-fp32", status="measured", verdict="batch-variant", mixes=True, repairable=False, largest=layer
    )
    said = next_step(asked, [mixing], Exit.NOT_MET)
    assert advised in said and "--batch-axis" not in said  # nothing says that the batch is elsewhere


def test_no_study_is_advised_that_would_refuse_the_network(commands: Commands) -> None:
    plain = commands(ROOT, "check", f"{HERE}:steady", *SMALL)
    assert "--variants all" in plain.stdout.splitlines()[-1]
    turning = commands(ROOT, "check", f"{HERE}:turning", *SMALL)
    assert turning.code == 0 and "assert_batch_invariant" in turning.stdout.splitlines()[-1]
    assert "--variants all" not in turning.stdout
    refused = commands(ROOT, "--model", f"{HERE}:turning", "--inputs", "photos", "--image-size", "32")
    assert refused.code == 2 and f"check {HERE}:turning compares it as it is" in refused.stderr


def test_training_mode_is_named(commands: Commands) -> None:
    part = commands(ROOT, "check", f"{HERE}:dropout", *SMALL).stdout
    assert "in training mode (1): they are measured so" in " ".join(part.split())
    whole = commands(ROOT, "check", f"{HERE}:never_set", *SMALL)
    assert whole.code == 0 and "it is measured in eval mode" in " ".join(whole.stdout.split())


def test_one_of_several_state_dicts_is_chosen_by_its_key(commands: Commands, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in architecture("resnet18", 5).state_dict().items()}
    torch.save({"state_dict": state, "state_dict_ema": state}, tmp_path / "two.pth")
    asked = ("check", "two.pth", "--model", "resnet18", "--input-shape", "3x32x32", "--batch-sizes", "2")
    ended = commands(tmp_path, *asked, "--threads", "1", "--state-dict", "state_dict_ema")
    assert ended.code in (0, 1) and "its state dict under 'state_dict_ema' is used" in " ".join(ended.stdout.split())
    every = commands(tmp_path, *asked, "--threads", "1", "--variants", "fp32,int8-dynamic")
    assert " ".join(every.stdout.split()).count("two.pth holds more than one state dict") == 2
    refused = commands(tmp_path, "check", "resnet18", "--state-dict", "ema")
    assert refused.code == 2 and "--state-dict is of a file of weights" in refused.stderr


def test_inputs_that_do_not_fit_are_a_usage_error(commands: Commands) -> None:
    ended = commands(ROOT, "check", f"{HERE}:rows", *SMALL)
    assert (ended.code, ended.stdout) == (2, "") and "say what one example is, --input-shape" in ended.stderr
    grey = ("--input-shape", "1x24x24", "--threads", "1", "--batch-sizes", "2")
    ended = commands(ROOT, "check", f"{HERE}:convolving", *grey)
    assert ended.code == 2 and ended.stderr.strip().endswith("takes 3 channels: --input-shape 3x24x24"), ended.stderr


def test_a_network_that_takes_few_at_once_is_checked_on_fewer_as_the_remedy_says(commands: Commands) -> None:
    many = commands(ROOT, "check", f"{HERE}:few", "--input-shape", "3x4x4", "--batch-sizes", "2-6", "--threads", "1")
    assert many.code == 3 and "cannot be run on 6 of these" in " ".join(many.stdout.split())
    remedy = many.stdout.rpartition("--batch-sizes ")[2].strip()
    fewer = commands(ROOT, "check", f"{HERE}:few", "--input-shape", "3x4x4", "--batch-sizes", remedy, "--threads", "1")
    assert (remedy, fewer.code) == ("2-3", 0), many.stdout + fewer.stdout


def test_what_a_factory_makes_is_told_as_it_is(commands: Commands) -> None:
    half = commands(ROOT, "check", f"{HERE}:grey_and_half", "--batch-sizes", "2", "--threads", "1")
    said = " ".join(half.stdout.split())
    assert half.code in (0, 1) and "float32 [1, 224, 224]" in said and "its parts are float16" in said
    assert "shape 1x224x224 assumed: --input-shape says another" in said
    meta = commands(ROOT, "check", f"{HERE}:meta", *SMALL)
    assert meta.code == 2 and "on the meta device" in meta.stderr


def test_a_file_that_holds_its_batch_is_sent_to_the_study_which_mends_it(commands: Commands, tmp_path: Path) -> None:
    model = classifier()
    reshaping(model, [4, 8])
    onnx.save(model, tmp_path / "held.onnx")
    ended = commands(tmp_path, "check", "held.onnx", "--threads", "1")
    assert ended.code == 2 and "Reshape node" in ended.stderr and "--onnx FILE" in ended.stderr
    assert "ONNXRuntimeError" not in ended.stderr
    study = ("--onnx", "held.onnx", "--variants", "ort-fp32", "--batch-sizes", "2", "--threads", "1")
    mended = commands(tmp_path, *study, "--no-explain", "--race-seconds", "0", "--certify", "off", "--out", "run")
    assert mended.code in (0, 1), mended.stderr


def test_a_network_that_hangs_is_ended(commands: Commands) -> None:
    ended = commands(ROOT, "check", f"{HERE}:hang", *SMALL, "--timeout", "3")
    assert ended.code == 3 and "silent for 3 s" in ended.stdout


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (f"{HERE}:leaves", "calls sys.exit('usage: train.py DATA')"),
        (f"{HERE}:refuses", "no such weights here"),
        (f"{HERE}:nothing", "has no 'nothing'"),
        (f"{HERE}:HERE.none", "has no"),
        ("no.such.package:net", "cannot be imported"),
        ("resnet19", "did you mean 'resnet18'"),
    ],
)
def test_no_network_is_a_usage_error(commands: Commands, network: str, said: str) -> None:
    ended = commands(ROOT, "check", network, *SMALL)
    assert (ended.code, ended.stdout) == (2, "") and said in ended.stderr


def test_the_users_folder_is_found_for_this_call_only(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "models").with_suffix(".py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.ReLU()).eval()\n"
    )
    ended = commands(tmp_path, "check", "models:net", *SMALL)
    assert ended.code == 0 and str(tmp_path) not in sys.path
    assert commands(ROOT / "tests", "check", "models:net", *SMALL).code == 2


def test_an_onnx_file_brings_its_shape(commands: Commands, tmp_path: Path) -> None:
    onnx.save(classifier(("n", 3, 8, 8)), tmp_path / "net.onnx")
    ended = commands(tmp_path, "check", "net.onnx", "--batch-sizes", "2,3", "--threads", "1", "--json")
    (checked,) = json.loads(ended.stdout)["variants"]
    assert (checked["variant"], checked["status"]) == ("ort-fp32", "measured") and "float32 [3, 8, 8]" in checked[
        "inputs"
    ]
    assert ended.code == (0 if checked["verdict"] == "batch-invariant" else 1)
    wrong = commands(tmp_path, "check", "net.onnx", "--input-shape", "3x9x9")
    assert wrong.code == 2 and "takes images: float32 [n, 3, 8, 8]" in wrong.stderr
    onnx.save(classifier((1, 3, 8, 8)), tmp_path / "one.onnx")
    fixed = commands(tmp_path, "check", "one.onnx")
    assert fixed.code in (0, 1) and "its batch was fixed at 1: its axis was freed" in fixed.stdout


def test_own_arrays_are_the_examples(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom {HERE} import steady\n")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((3, 3, 4, 4)))
    ended = commands(tmp_path, "check", "mine:steady", "--inputs", "x.npy", "--threads", "1", "--batch-sizes", "2-5")
    assert ended.code == 0 and "N = 4 and 5: too few examples" in ended.stdout
    np.save(tmp_path / "x.npy", np.zeros((3, 3, 4, 4), np.float32))
    alike = commands(tmp_path, "check", "mine:steady", "--inputs", "x.npy", "--threads", "1", "--batch-sizes", "2-3")
    assert alike.code == 3 and "all examples are the same" in alike.stdout
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 4, 4), np.float32))
    assert commands(tmp_path, "check", "mine:steady", "--inputs", "x.npy").code == 2


def test_a_torchvision_name_and_a_checkpoint_in_two_precisions(commands: Commands, tmp_path: Path) -> None:
    size = ("--input-shape", "3x32x32", "--threads", "1", "--batch-sizes", "2")
    named = commands(tmp_path, "check", "squeezenet1_1", *size, "--variants", "fp32,bf16", "--json")
    fp32, bf16 = json.loads(named.stdout)["variants"]
    assert {fp32["status"], bf16["status"]} == {"measured"} and "random" in fp32["weights"]
    torch.save(_state("squeezenet1_1"), tmp_path / "net.pth")
    file = commands(tmp_path, "check", "net.pth", "--model", "squeezenet1_1", *size, "--json")
    (checked,) = json.loads(file.stdout)["variants"]
    assert checked["weights"].startswith("net.pth")


def _state(model: str) -> dict[str, torch.Tensor]:
    from isobatch.models.weights.networks import architecture

    net: nn.Module = architecture(model, 10)
    return net.state_dict()


def test_pictures_are_cut_to_the_shape(commands: Commands, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 12, 9, 3), dtype=np.uint8)
    for number, pixels in enumerate([*noise, noise[0]]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    flags = "--inputs", str(tmp_path), "--batch-sizes", "2-4", "--threads", "1"
    ended = commands(ROOT, "check", f"{HERE}:steady", "--input-shape", "3x8x6", *flags)
    assert ended.code == 0 and "3 examples of" in " ".join(ended.stdout.split()), ended.stderr
    grey = commands(ROOT, "check", f"{HERE}:steady", "--input-shape", "1x8x8", *flags)
    assert grey.code == 2 and "takes 1x8x8, which no picture is: give an array (.npy)" in grey.stderr


@pytest.mark.extras
def test_what_is_compiled_says_why_it_is_not_looked_into(commands: Commands) -> None:
    ended = commands(
        ROOT,
        "check",
        f"{HERE}:convolving",
        *("--input-shape", "3x24x24", "--threads", "1", "--batch-sizes", "2", "--variants", "compile-fp32", "--json"),
    )
    (checked,) = json.loads(ended.stdout)["variants"]
    assert checked["status"] == "measured" and ended.code == (0 if checked["verdict"] == "batch-invariant" else 1)
    assert ("which cannot be taken apart" in checked["closed"]) == (checked["verdict"] == "batch-variant")
    assert checked["first"] is None and checked["origins"] == 0
