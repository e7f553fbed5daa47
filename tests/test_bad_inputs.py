"""Bad input that all variants share, through the command line: exit 2, one line, nothing written."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from isobatch.models.weights.random_weights import random_state
from isobatch.pipeline.inputs.request import SetsAsked, SetStored
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.records.codes import CODES
from tests.faulty.studies import report
from tests.in_process import Commands, Ended
from tests.models.ort import test_check_user_file as graphs
from tests.models.ort.small_onnx import classifier
from tests.models.ort.wild_graphs import endless, greedy
from tests.pipeline.inputs.helpers import noise, pictures
from tests.waiting import ENDS_S

SMALL = (
    *(
        "--image-size",
        "64",
        "--images",
        "4",
        "--batch-sizes",
        "2",
        "--no-explain",
        "--race-seconds",
        "0",
        "--certify",
        "off",
    ),
    *("--quiet", "--out", "run"),
)
ONNX = ("--variants", "ort-fp32", *SMALL)
TORCH = ("--model", "shufflenet_v2_x0_5", "--variants", "fp32", *SMALL)
Spoil = Callable[[Path], Any]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a small network and pictures in which nothing is wrong."""
    onnx.save(classifier(), tmp_path / "net.onnx")
    pictures(tmp_path / "pictures", *(f"{number}.png" for number in range(4)))
    return tmp_path


def tree(folder: Path) -> dict[Path, int]:
    """Everything below the folder, locks aside, with its time of change."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.name.startswith(".")}


def refused(commands: Commands, home: Path, *argv: str) -> str:
    """The one line of a command that ends in 2 and leaves everything as it was."""
    before = tree(home)
    ended = commands(home, *argv)
    assert (ended.code, ended.stdout) == (2, ""), ended
    (line,) = ended.stderr.splitlines()
    code = line.removeprefix("error [").split("]: ")[0]
    assert code in CODES, line
    assert {path: at for path, at in tree(home).items() if path.is_file()} == {
        path: at for path, at in before.items() if path.is_file()
    }
    assert not (home / "run").exists()
    return line


def cut(path: Path) -> None:
    noise(1).save(path)
    path.write_bytes(path.read_bytes()[:200])


def bomb(path: Path) -> None:
    Image.new("1", (12_000, 8_000)).save(path)


def dangling(path: Path) -> None:
    path.symlink_to("gone.png")


PICTURES: dict[str, tuple[Spoil, str]] = {
    "truncated": (cut, "damaged|truncated"),
    "junk": (lambda path: path.write_bytes(b"junk"), "not a jpeg, png, webp or bmp"),
    "zero bytes": (lambda path: path.write_bytes(b""), "empty file"),
    "bomb": (bomb, "pixels"),
    "FIFO": (os.mkfifo, "not a regular file"),
    "dangling link": (dangling, "a link to nothing"),
    "folder": (Path.mkdir, "no usable image"),
    "nothing": (lambda path: None, "no usable image"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_folder_without_a_usable_picture(home: Path, commands: Commands, name: str) -> None:
    spoil, why = PICTURES[name]
    (home / "bad").mkdir()
    spoil(home / "bad" / "picture.png")
    line = refused(commands, home, *ONNX, "--onnx", "net.onnx", "--inputs", "bad")
    assert line.startswith("error [no-images]: ")
    assert any(word in line for word in why.split("|")), line


def modes(folder: Path) -> None:
    """Pictures of every size and mode, a turned one, and a huge one that is legal."""
    whole = noise(7, 90, 70)
    for mode, name in (("L", "grey.png"), ("CMYK", "cmyk.jpg"), ("RGBA", "rgba.png"), ("P", "palette.png")):
        whole.convert(mode).save(folder / name)
    Image.fromarray(np.arange(80 * 70, dtype=np.uint16).reshape(70, 80) * 11).save(folder / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(8, 90, 60).save(folder / "turned.jpg", exif=exif)
    noise(9, 30, 200).save(folder / "tall.webp")
    Image.new("L", (9_000, 7_000), 90).save(folder / "huge.png")


def test_pictures_of_every_kind_are_used_and_bad_ones_and_duplicates_are_named(home: Path, commands: Commands) -> None:
    folder = home / "mixed"
    folder.mkdir()
    modes(folder)
    good = len(list(folder.iterdir()))
    shutil.copy(folder / "grey.png", folder / "twin.png")
    for name in ("truncated", "junk", "zero bytes", "bomb", "FIFO", "dangling link"):
        PICTURES[name][0](folder / f"bad {name}.png")
    ended = commands(home, *ONNX, "--onnx", "net.onnx", "--inputs", "mixed", "--images", "20")
    assert ended.code in (0, 1), ended.stderr
    study_report = report(home / "run")
    (used,) = study_report["inputs"]
    assert used["n"] == good - 2  # and two to calibrate with
    why = {file["file"]: file["why"] for file in used["skipped"]}
    assert len(why) == 6 + 1
    assert [text for text in why.values() if text.startswith("same picture as")]
    assert {warning["code"] for warning in study_report["warnings"]} >= {"skipped-images"}


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def weights(path: Path, **changed: torch.Tensor | None) -> None:
    state = {**random_state("shufflenet_v2_x0_5", 10), **changed}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, path)


WEIGHTS: dict[str, tuple[str, Spoil, str]] = {
    "truncated": ("w.pth", lambda path: (torch.save({"a": torch.ones(999)}, path), halve(path)), "damaged|cut short"),
    "junk": ("w.pth", lambda path: path.write_bytes(b"junk" * 99), "w.pth"),
    "malicious": ("w.pth", lambda path: torch.save({"w": Malicious(path.with_name("ran"))}, path), "wants to run"),
    "classes": (
        "w.safetensors",
        lambda path: weights(path, **{"fc.bias": torch.ones(11)}),
        "fc.bias is [11], not [10]",
    ),
    "keys": ("w.safetensors", lambda path: weights(path, **{"fc.bias": None}), "missing fc.bias"),
    "nan": ("w.safetensors", lambda path: weights(path, **{"fc.bias": torch.full((10,), torch.nan)}), "fc.bias (10 of"),
    "inf": ("w.safetensors", lambda path: weights(path, **{"fc.bias": torch.full((10,), torch.inf)}), "fc.bias (10 of"),
    "absent": ("w.pth", lambda path: None, "w.pth"),
}


def halve(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_used(home: Path, commands: Commands, name: str) -> None:
    file, spoil, why = WEIGHTS[name]
    spoil(home / file)
    line = refused(commands, home, *TORCH, "--weights", file, "--inputs", "pictures")
    assert line.startswith("error [weights]: ")
    assert any(word in line for word in why.split("|")), line
    assert "weights_only" not in line and "trust" not in line
    assert not (home / "ran").exists()


def test_without_a_network_nothing_is_downloaded(home: Path, commands: Commands) -> None:
    argv = ("--model", "resnet18", "--variants", "fp32", "--weights", "imagenet-v1", "--offline", *SMALL)
    line = refused(commands, home, *argv)
    assert "--offline" in line


GRAPHS: dict[str, tuple[Spoil, str]] = {
    "outside": (lambda folder: graphs.with_external(folder, "../secret.bin"), "relative path|outside"),
    "symlink": (lambda folder: linked(folder, os.symlink), "a link"),
    "hard link": (lambda folder: linked(folder, os.link), "hard link"),
    "missing": (lambda folder: graphs.with_external(folder, "gone.bin"), "no such file"),
    "truncated": (lambda folder: halve(graphs.saved(folder, classifier())), "net.onnx"),
    "junk": (lambda folder: (folder / "net.onnx").write_bytes(b"\xff" * 99), "net.onnx"),
    **{
        spoil.__name__: (lambda folder, spoil=spoil: spoiled(folder, spoil), why)
        for spoil, why in (
            (graphs.unknown_operator, "nearest: 'Relu'"),
            (graphs.custom_domain, "custom domain"),
            (graphs.future_opset, "opset 9999"),
            (graphs.switch, "a switch for all images"),
            (graphs.text, "is STRING"),
            (graphs.dangling_input, "nowhere"),
            (graphs.zero_axis, "has length 0"),
        )
    },
}


def linked(folder: Path, link: Callable[[Path, Path], None]) -> None:
    secret = folder / "secret" / "secret.bin"
    secret.parent.mkdir()
    secret.write_bytes(bytes(classifier().graph.initializer[0].ByteSize()))
    link(secret, folder / "data.bin")
    graphs.with_external(folder, "data.bin")


def spoiled(folder: Path, spoil: Callable[[onnx.ModelProto], None]) -> None:
    model = classifier()
    spoil(model)
    graphs.saved(folder, model)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_network_that_cannot_be_used(home: Path, commands: Commands, name: str) -> None:
    spoil, why = GRAPHS[name]
    spoil(home)
    line = refused(commands, home, *ONNX, "--onnx", "net.onnx", "--inputs", "pictures")
    assert line.startswith("error [onnx]: ")
    assert any(word in line for word in why.split("|")), line


def test_a_report_of_a_newer_schema(home: Path, commands: Commands) -> None:
    (home / "newer").mkdir()
    (home / "newer" / "report.json").write_text('{"schema_version": 99}')
    for argv in (("recommend", "newer"), ("render", "newer"), ("compare", "newer", "newer")):
        line = refused(commands, home, *argv)
        assert line.startswith("error [report]: ") and "schema version 99" in line and "newer" in line
    (home / "newer" / "record.json").write_text('{"schema_version": 99}')
    line = refused(commands, home, "verify", "newer")
    assert line.startswith("error [record]: ") and "schema version 99, and this program reads 2: use" in line


def ran(commands: Commands, home: Path, *argv: str) -> tuple[Ended, dict[str, Any]]:
    ended = commands(home, *argv, "--onnx", "net.onnx", "--inputs", "pictures")
    assert "Traceback" not in ended.stderr
    return ended, report(home / "run")


def test_more_than_there_is_of_anything_is_left_out_with_the_reason(home: Path, commands: Commands) -> None:
    """N above the number of images; too few images to calibrate with: the others are measured, and the end is 3."""
    argv = ("--variants", "ort-fp32,ort-int8", *SMALL, "--batch-sizes", "2,3,64")
    ended, study_report = ran(commands, home, *argv)
    assert ended.code == 3
    fp32, int8 = study_report["variants"]
    assert {
        comparison["batch_size"] for comparison in fp32["comparisons"] if comparison["kind"] == "batch-vs-singles"
    } == {2, 3}
    assert ["N = 64" in left_out["what"] and "never repeated" in left_out["why"] for left_out in fp32["not_run"]] == [
        True
    ]
    assert fp32["verdict"] and int8["verdict"] is None
    assert any("calibrat" in left_out["what"] + left_out["why"] for left_out in int8["not_run"])


def test_where_no_batch_can_be_formed_nothing_is_measured(home: Path, commands: Commands) -> None:
    (home / "pictures" / "3.png").unlink()
    study = ("--onnx", "net.onnx", "--inputs", "pictures", *ONNX)
    for asked, sizes, remedy, way in (("2", "1,3", "--images 3", []), ("3", "8", "more images", ["--dry-run"])):
        line = refused(commands, home, *study, *way, "--images", asked, "--batch-sizes", sizes)
        assert line.startswith("error [bad-request]: ") and f"give {remedy}, or batch sizes of at most {asked}" in line
    assert not (home / "run").exists()
    assert commands(home, *study, "--dry-run", "--images", "3", "--batch-sizes", "1,3").code == 0


def test_constant_pictures_prove_nothing(home: Path, commands: Commands) -> None:
    """All calibration and evaluation pictures of one colour: distinct bytes, and yet one output row, or nearly."""
    shutil.rmtree(home / "pictures")
    (home / "pictures").mkdir()
    for number in range(12):
        Image.new("RGB", (64, 64), (9, 9, 9 + number)).save(home / "pictures" / f"{number}.png")
    ended, study_report = ran(commands, home, "--variants", "ort-fp32,ort-int8", *SMALL)
    assert ended.code in (0, 1, 3)
    assert [variant["status"] for variant in study_report["variants"]] == ["measured", "measured"]


@pytest.mark.parametrize(
    ("make", "why", "seconds"), [(greedy, "memory|alloc", ENDS_S), (endless, "silent for 10 s", 10)]
)
def test_a_graph_without_bounds_is_refused_by_name(
    home: Path, commands: Commands, make: Callable[[Path], None], why: str, seconds: float
) -> None:
    make(home / "wild.onnx")
    argv = (*ONNX, "--onnx", "wild.onnx", "--inputs", "pictures", "--timeout", f"{seconds:g}")
    line = refused(commands, home, *argv)
    assert "wild.onnx" in line
    assert any(word in line.lower() for word in why.split("|")), line


def test_a_graph_that_takes_gigabytes_for_more_images_than_were_tried_has_its_limit_everywhere(
    home: Path, commands: Commands
) -> None:
    greedy(home / "wild.onnx", beyond=8)
    np.save(home / "many.npy", np.random.default_rng(0).standard_normal((14, 3, 64, 64), np.float32))
    given = ("--inputs", "many.npy", "--images", "10", "--threads", "1")
    checked = commands(home, "check", "wild.onnx", "--batch-sizes", "2,10", "--input-shape", "3x64x64")
    assert checked.code == 3 and "asks for more memory" in " ".join(checked.stdout.split()), checked
    assert "fewer at once: --batch-sizes 2-5" in checked.stdout
    repair = ("repair", "--onnx", "wild.onnx", "--variant", "ort-fp32", "--batch-sizes", "2,10", "--out", "repaired")
    repaired = commands(home, *repair, *given)
    assert (repaired.code, "cannot be repaired here" in repaired.stderr) == (3, True), repaired
    assert "failed to allocate memory" in repaired.stderr.lower(), repaired
    study = ("--onnx", "wild.onnx", *given, "--variants", "ort-fp32", "--batch-sizes", "2", "--race-seconds", "0")
    ran = commands(home, *study, "--certify", "1-10", "--no-explain", "--quiet", "--out", "run")
    assert ran.code == 0, ran.stderr
    (variant,) = report(home / "run")["variants"]
    assert variant["range"]["to"] == 8 and "allocate" in variant["range"]["stopped"], variant["range"]


def test_a_file_that_is_no_regular_one_is_not_replaced(home: Path, commands: Commands) -> None:
    (home / "link.md").symlink_to("letter.txt")
    os.mkfifo(home / "pipe.xml")
    for flag, name in (("--markdown", "link.md"), ("--junit", "pipe.xml"), ("--markdown", "/dev/null")):
        assert "out-unusable" in refused(commands, home, "compare", "a", "b", flag, name)
    assert (home / "link.md").is_symlink() and not (home / "letter.txt").exists()


@pytest.mark.parametrize("place", ["net.onnx/out", "a" * 300])
def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(
    home: Path, commands: Commands, place: str
) -> None:
    for argv in (("compare", "a", "b", "--junit"), ("repair", "--variant", "fp32", "--out")):
        assert "out-unusable" in refused(commands, home, *argv, place)


def test_a_name_that_is_too_long_is_no_fault_of_the_tool(home: Path, commands: Commands) -> None:
    for argv in (("render",), ("verify",), ("check",), ("compare", "a")):
        assert refused(commands, home, *argv, "a" * 300).startswith("error [long-name]: aaa")


def test_a_large_array_is_mapped_and_measured(tmp_path: Path, launchers: Workers) -> None:
    """12 GB, most of them holes: more than a reader of images may take, and no more than a few images are in memory."""
    shape = (1000, 3, 1000, 1000)
    array = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, shape)
    array[:, 0, 0, 0] = np.arange(shape[0])
    array.flush()
    del array
    asked = SetsAsked(str(tmp_path / "large.npy"), tmp_path / "stored", images=2)
    (found,) = launchers.call({}, "isobatch.pipeline.inputs.in_worker:read_sets", asked.to_json())
    assert SetStored.of(found).evaluation.shape == (2, 3, 1000, 1000)
