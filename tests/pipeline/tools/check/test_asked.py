"""What NETWORK and the flags of ``check`` mean."""

from pathlib import Path

import pytest
import torch

from isobatch import PROGRAM
from isobatch.models.user_factory import made
from isobatch.pipeline.records.errors import Exit, UsageError, WorkerError
from isobatch.pipeline.tools.check import run
from isobatch.pipeline.tools.check.asked import CheckRequest, Target, shapes_of, target_of, variants_of
from isobatch.pipeline.tools.check.next_step import next_step
from isobatch.pipeline.tools.check.records import VariantChecked


def test_each_kind_of_network_is_told_by_its_name(tmp_path: Path) -> None:
    onnx, weights = tmp_path / "net.onnx", tmp_path / "net.pth"
    onnx.touch()
    weights.touch()
    assert target_of("resnet18", None, None) == Target("torchvision", "resnet18", "resnet18", "auto")
    assert target_of("resnet18", None, "random").weights == "random"
    assert target_of("my.nets:Small.tiny", None, None) == Target("factory", "my.nets:Small.tiny")
    assert target_of(str(onnx), None, None) == Target("onnx", str(onnx))
    assert target_of(str(weights), "resnet18", None) == Target("checkpoint", str(weights), "resnet18", str(weights))


@pytest.mark.parametrize(
    ("network", "model", "weights", "said"),
    [
        ("no/such.onnx", None, None, "no file"),
        ("net.pth", "resnet18", None, "no file"),
        ("", None, None, "is a folder"),
        (".", None, None, "is a folder"),
        ("/dev/null", None, None, "no regular file"),
        ("my.nets:tiny", "resnet18", None, "--model is for torchvision's networks"),
        ("my.nets:tiny", None, "random", "--weights is for torchvision's networks"),
        ("resnet18", "resnet18", None, "--model goes with a file of weights"),
    ],
)
def test_what_names_no_network_says_why(network: str, model: str | None, weights: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        target_of(network, model, weights)


def test_a_file_of_weights_needs_its_network(tmp_path: Path) -> None:
    (tmp_path / "net.pth").touch()
    with pytest.raises(UsageError, match="--model M"):
        target_of(str(tmp_path / "net.pth"), None, None)
    with pytest.raises(UsageError, match="give one of them"):
        target_of(str(tmp_path / "net.pth"), "resnet18", "random")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of its own TorchScript
@pytest.mark.parametrize("kind", ["script", "exported"])
def test_a_program_is_run_and_its_tensors_are_taken_as_the_remedy_says(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = torch.nn.Linear(3, 2).eval()
    if kind == "script":
        torch.jit.script(net).save("net.pt")
    else:
        torch.export.save(torch.export.export(net, (torch.zeros(2, 3),)), "net.pt")
    with pytest.raises(UsageError) as refused:
        target_of("net.pt", None, None)
    loading, taking = str(refused.value).partition("make = ")[2].split("; for its tensors alone, ")
    (tmp_path / f"{kind}_nets.py").write_text(f"import torch\nmake = {loading}\n")
    assert made(f"{kind}_nets:make", str(tmp_path))(torch.zeros(2, 3)).shape == (2, 2)
    exec(taking, {"torch": torch})
    assert torch.equal(torch.load("weights.pth", weights_only=True)["weight"], net.weight)


def test_of_a_folder_the_files_in_it_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds none that ends as such files do"):
        target_of(str(tmp_path), None, None)
    for name in ("model.onnx", "pytorch_model.bin", "config.json", "model-00001-of-00002.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"is a folder: .* in it: model\.onnx or pytorch_model\.bin$"):
        target_of(str(tmp_path), "resnet18", None)


def test_shapes_and_variants() -> None:
    assert shapes_of("3x224x224") == ((3, 224, 224),)
    assert shapes_of("3x32x32, 12") == ((3, 32, 32), (12,))
    for wrong in ("3x", "0x3", "3,", "a", "99999x99999"):
        with pytest.raises(UsageError, match="--input-shape"):
            shapes_of(wrong)
    assert variants_of(Target("onnx", "a.onnx"), None) == ("ort-fp32",)
    assert variants_of(Target("torchvision", "resnet18"), None) == ("fp32",)
    with pytest.raises(UsageError, match="did you mean 'bf16'"):
        variants_of(Target("torchvision", "resnet18"), "fp32,bf61")


@pytest.mark.parametrize("name", ["net.ort", "net.TFLITE", "openvino.xml"])
def test_a_network_of_another_format_is_not_taken_for_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(UsageError, match="export the network that it is of to ONNX"):
        target_of(str(tmp_path / name), None, None)


def asked(target: Target) -> CheckRequest:
    return CheckRequest(target, ("fp32",), (2, 3, 4, 8), 2)


def checked(verdict: str, **fields: object) -> VariantChecked:
    return VariantChecked.model_validate({"variant": "fp32", "status": "measured", "verdict": verdict} | fields)


def test_the_next_step_fits_the_network_and_what_was_found() -> None:
    named, own = Target("torchvision", "resnet18", "resnet18", "random"), Target("factory", "a.b:c")
    variant = checked("batch-variant", n_images=8)
    repair = f"{PROGRAM} repair --model resnet18 --weights random --variant fp32 --batch-sizes 2-4,8 --threads 2"
    assert next_step(asked(named), [variant], Exit.NOT_MET) == repair
    assert "make_batch_invariant" in next_step(asked(own), [variant], Exit.NOT_MET)
    few = checked("batch-variant", n_images=3)  # no more than there are examples of: they are never repeated
    assert next_step(asked(own), [few], Exit.NOT_MET).endswith("(network, inputs, range(2, 4))")
    assert "--batch-sizes 2-3 " in next_step(asked(named), [few], Exit.NOT_MET)
    assert "assert_batch_invariant" in next_step(asked(own), [checked("batch-invariant")], Exit.DONE)
    assert ".eval()" in next_step(asked(own), [checked("not-repeatable")], Exit.NOT_MET)
    assert next_step(asked(own), [checked("unverified", remedy="do that")], Exit.PARTIAL) == "do that"


def test_only_compared_bytes_are_zero() -> None:
    codes = {
        "batch-invariant": Exit.DONE,
        "batch-variant": Exit.NOT_MET,
        "not-repeatable": Exit.NOT_MET,
        "unverified": Exit.PARTIAL,
    }
    assert {verdict: checked(verdict).exit_code for verdict in codes} == codes
    assert VariantChecked(variant="fp32", status="failed").exit_code == Exit.PARTIAL


def test_an_export_that_failed_is_tried_once_for_all_variants_of_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def failing(asked: CheckRequest, variant: str, *_: object) -> VariantChecked:
        tried.append(variant)
        raise WorkerError("no correct ONNX graph could be made", "ExportError")

    monkeypatch.setattr(run, "_variant", failing)
    target = Target("torchvision", "swin_t", "swin_t", "random")
    report = run.check_network(CheckRequest(target, ("ort-fp32", "ort-int8"), (2,), 1), 60.0, lambda text: None)
    assert tried == ["ort-fp32"]
    assert [(variant.variant, variant.status) for variant in report.variants] == [
        ("ort-fp32", "failed"),
        ("ort-int8", "failed"),
    ]
    assert all("no correct ONNX graph" in variant.reason for variant in report.variants)
