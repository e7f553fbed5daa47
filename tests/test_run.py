"""The command line as a user meets it: real workers, real runtimes, a small network."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest

from tests.conftest import missing_gpu
from tests.faulty.studies import interruptible
from tests.in_process import Commands, Ended
from tests.models.ort.small_onnx import classifier
from tests.waiting import ENDS_S, until

ROOT = Path(__file__).resolve().parent.parent
FILE = ["--image-size", "64", "--images", "4", "--inputs", "digits", "--race-seconds", "0", "--certify", "off"]
SMALL = ["--model", "resnet18", "--weights", "random", *FILE]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """A folder whose out/ holds one finished study."""
    folder = tmp_path_factory.mktemp("home")
    argv = [*SMALL, "--variants", "fp32,ort-int8,ort-int8-dynamic", "--batch-sizes", "2,4", "--no-explain"]
    done = commands(folder, *argv, "--race-seconds", "3", "--certify", "1-6")
    assert done.code in (0, 1), done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


def report(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "out" / "latest" / "report.json").read_text())
    return content


def test_a_study_writes_its_reports_and_says_where(home: Path) -> None:
    folder = (home / "out" / "latest").resolve()
    assert {"report.json", "report.html", "report.md", "run.json", "evidence"} <= {p.name for p in folder.iterdir()}
    lines = (home / "stdout.txt").read_text().splitlines()
    assert lines[-1].endswith("report.json")
    assert "\x1b" not in (home / "stdout.txt").read_text()


def test_the_report_validates_and_counts_its_passes(home: Path) -> None:
    study_report = report(home)
    jsonschema.validate(study_report, json.loads((ROOT / "reports" / "schema.json").read_text()))
    # per variant: 4 singles, 2 calls of N = 2, 1 of N = 4, three probes; in a second process 4 singles and 1 of N = 4
    assert study_report["timing"]["forward_passes"] == 3 * ((4 + 2 + 1 + 3) + (4 + 1))  # type: ignore[index]


def test_the_candidates_were_raced_and_the_race_is_kept(home: Path, commands: Commands) -> None:
    study_report = report(home)
    race, decided = study_report["race"], study_report["recommendation"]
    assert race["rounds"] >= 1 and race["seconds"] > 0  # type: ignore[index]
    whole = [contestant for contestant in race["contestants"] if contestant["dropped"] is None]  # type: ignore[index]
    assert decided["chosen"] in [contestant["variant"] for contestant in whole]  # type: ignore[index]
    assert all(len(contestant["call_s"]) == race["rounds"] and contestant["load_s"] > 0 for contestant in whole)  # type: ignore[index]
    assert decided["at_work"]["call_ms"]["n"] == race["rounds"]  # type: ignore[index]
    again = commands(home, "recommend", "out/latest", "--json")
    assert json.loads(again.stdout)["recommendation"]["chosen"] == decided["chosen"]  # type: ignore[index]


def test_the_choice_was_verified_at_every_n_and_the_first_screen_says_so(home: Path) -> None:
    decided = report(home)["recommendation"]
    decided_range = decided["range"]  # type: ignore[index]
    assert (decided_range["sizes"], decided_range["inputs"], decided_range["image_size"]) == (
        [2, 3, 4, 5, 6],
        "digits",
        [64, 64],
    )
    assert sum(decided_range["filled_with"].values()) == 6 and decided_range["filled_with"]["own"] == 4
    assert decided_range["to"] == 6 and decided_range["failed_at"] == [] and decided_range["n_comparisons"] == 10
    text = " ".join((home / "stdout.txt").read_text().split())
    assert f"same bytes at every N from 1 to 6, {decided_range['threads']} thread" in text


def test_evidence_rests_on_what_was_run(home: Path) -> None:
    variants = {v["name"]: v for v in report(home)["variants"]}  # type: ignore[attr-defined]
    for variant in variants.values():
        kinds = {(c["kind"], c["batch_size"]) for c in variant["comparisons"]}
        expected = {("batch-vs-singles", 2), ("batch-vs-singles", 4), ("repeat", 1), ("repeat", 4)}
        assert expected | {("position", 4), ("neighbours", 4), ("copies", 4), ("vs-reference", 1)} == kinds
        assert variant["repeatable"] is True
    dynamic = variants["ort-int8-dynamic"]["comparisons"]
    assert not all(c["bitwise_equal"] for c in dynamic if c["kind"] == "neighbours")  # its scale sees the neighbour


def test_which_sizes_a_network_takes_is_asked_once(tmp_path: Path, commands: Commands) -> None:
    def planned() -> Ended:
        argv = ["--model", "squeezenet1_1", *SMALL[2:], "--variants", "fp32", "--dry-run"]
        return commands(tmp_path, *argv, XDG_CACHE_HOME=str(tmp_path))

    assert planned().code == 0
    (kept,) = (tmp_path / "isobatch" / "sizes").iterdir()
    whole = kept.read_text()
    kept.write_text(whole.replace("null", '"kept words"'))
    refused = planned()
    assert refused.code == 2 and "squeezenet1_1 takes no images of 64 x 64: kept words." in refused.stderr
    kept.write_text(whole[:-3])
    assert planned().code == 0 and kept.read_text() == whole


def test_two_fresh_runs_agree_in_everything_not_volatile(tmp_path: Path, commands: Commands) -> None:
    schema = json.loads((ROOT / "reports" / "schema.json").read_text())
    argv = [*SMALL, "--variants", "fp32,ort-int8", "--batch-sizes", "2", "--fresh", "--quiet", "--no-repair"]
    runs = []
    for name in ("one", "two"):
        done = commands(tmp_path, *argv, "--out", name)
        assert done.code in (0, 1), done.stderr
        whole = json.loads((tmp_path / name / "report.json").read_text())
        jsonschema.validate(whole, schema)
        runs.append(stable(whole, schema, schema))
    assert runs[0] == runs[1]


def stable(value: object, schema: dict[str, object], root: dict[str, object]) -> object:
    """The value without its volatile keys, found by walking the schema along."""
    if isinstance(reference := schema.get("$ref"), str):
        schema = root["$defs"][reference.rsplit("/", 1)[1]]  # type: ignore[index]
    for option in schema.get("anyOf", []):  # type: ignore[attr-defined]
        if "$ref" in option:
            schema = root["$defs"][option["$ref"].rsplit("/", 1)[1]]  # type: ignore[index]
        elif option.get("type") == "array":
            schema = option
    if isinstance(value, dict) and isinstance(known := schema.get("properties"), dict):
        return {k: stable(v, known.get(k, {}), root) for k, v in value.items() if not known.get(k, {}).get("volatile")}
    if isinstance(value, list):
        items = schema.get("items", {})
        return [stable(v, items if isinstance(items, dict) else {}, root) for v in value]
    return value


def test_an_interrupted_study_goes_on_and_gives_the_same_evidence(
    home: Path, tmp_path: Path, commands: Commands
) -> None:
    argv = [*SMALL, "--variants", "fp32,ort-int8,ort-int8-dynamic", "--batch-sizes", "2,4", "--out", "again"]
    argv += ["--no-explain"]
    empty = {"XDG_CACHE_HOME": str(tmp_path / "cache")}  # a real process builds everything, from nothing
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **empty}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *argv],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )
    evidence = tmp_path / "again" / "evidence"
    until(lambda: list(evidence.rglob("*.safetensors")), process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=ENDS_S)
    assert process.returncode == 130, said
    assert "goes on where it stopped" in said
    assert not (tmp_path / "again" / "report.json").exists()
    done = commands(tmp_path, *argv, **empty)
    assert done.code in (0, 1), done.stderr
    assert "resuming" in done.stderr
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    assert again["timing"]["kept_jobs"] >= 1
    whole = {v["name"]: v for v in report(home)["variants"]}  # type: ignore[attr-defined]
    for variant in again["variants"]:
        assert variant["fingerprints"] == whole[variant["name"]]["fingerprints"]


def test_recommend_and_render_need_no_runtime(home: Path) -> None:
    code = (
        "import sys, run\n"
        "found = [run.main(line.split()) for line in sys.argv[1:]]\n"
        "sys.exit(100 if {'torch', 'onnxruntime'} & set(sys.modules) else max(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "recommend out/latest --policy none", "render out/latest"],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, 1, 3), done.stderr
    assert "Why, and why not the others" in done.stdout and "Does fixed point" in done.stdout
    assert "Why not the others" in done.stdout and "Policy: any stability" in done.stdout


def test_a_policy_nothing_meets_ends_in_one(home: Path, commands: Commands) -> None:
    done = commands(home, "recommend", "out/latest", "--max-latency-ms", "0.001")
    assert done.code == 1
    assert "No variant meets the policy" in done.stdout


def test_json_on_stdout_is_clean(home: Path, commands: Commands) -> None:
    done = commands(home, "recommend", "out/latest", "--json")
    assert json.loads(done.stdout)["schema_version"] == 1


def files(folder: Path) -> dict[str, Path]:
    """Bad shared inputs, by what is wrong with them."""
    (folder / "empty").mkdir()
    (folder / "junk.safetensors").write_bytes(b"junk" * 100)
    (folder / "junk.onnx").write_bytes(b"\xff" * 100)
    onnx.save(classifier(("n", 3, 24, 32)), folder / "fixed.onnx")
    np.save(folder / "nan.npy", np.full((4, 3, 64, 64), np.nan, np.float32))
    (folder / "taken").write_text("a file")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--variants", "fp31"], "did you mean"),
        (["--batch-sizes", "0"], "--batch-sizes"),
        (["--batch-sizes", "many"], "--batch-sizes"),
        (["--model", "resnet51"], "resnet5"),
        (["--inputs", "{empty}"], "no images|no usable|empty"),
        (["--inputs", "no/such/folder"], "no/such/folder"),
        (["--inputs", "{nan.npy}"], "NaN|finite"),
        (["--weights", "{junk.safetensors}"], "junk.safetensors"),
        (["--weights", "no/such/file.pth"], "file.pth"),
        (["--onnx", "{junk.onnx}"], "junk.onnx"),
        (["--onnx", "{fixed.onnx}"], "takes no images of 64 x 64: it takes images: float32 [n, 3, 24, 32]"),
        (["--out", "{taken}"], "taken"),
        (["--out", "/proc/isobatch"], "/proc/isobatch"),
        (["recommend", "no/such/run"], "no/such/run"),
    ],
)
def test_bad_shared_input_ends_in_two_with_one_line(
    tmp_path: Path, argv: list[str], text: str, commands: Commands
) -> None:
    bad = files(tmp_path)
    argv = [str(bad[part[1:-1]]) if part.startswith("{") else part for part in argv]
    whole = (
        argv
        if argv[0] == "recommend"
        else [*(FILE if "--onnx" in argv else SMALL), "--variants", "fp32", "--quiet", *argv]
    )
    done = commands(tmp_path, *whole)
    assert done.code == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error [")
    assert any(word in lines[0] for word in text.split("|")), lines[0]
    assert done.stdout == ""
    assert not list(tmp_path.rglob("report.*"))


def test_a_set_that_the_network_cannot_take_is_left_out_and_the_others_are_run(
    tmp_path: Path, commands: Commands
) -> None:
    onnx.save(classifier(("n", 3, 64, 64)), tmp_path / "square.onnx")
    argv = ["--onnx", "square.onnx", "--variants", "ort-fp32", "--images", "2", "--batch-sizes", "2", "--no-explain"]
    done = commands(tmp_path, *argv, "--quiet")
    assert done.code in (0, 1), done.stderr
    study_report = report(tmp_path)
    assert [(each["name"], each["shape"]) for each in study_report["inputs"]] == [("photos", [3, 64, 64])]  # type: ignore[attr-defined]
    assert "seed is left out: square.onnx takes no images of 400 x 400" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("device", "text"),
    [("cuda", "error [no-device]: --device cuda: torch"), ("tpu", "error [unknown-device]: --device")],
)
def test_a_device_that_is_not_there_ends_in_two_and_nothing_is_written(
    tmp_path: Path, commands: Commands, device: str, text: str
) -> None:
    if device == "cuda" and missing_gpu() is None:
        pytest.skip("there is a GPU here")
    done = commands(tmp_path, *SMALL, "--variants", "fp32", "--device", device, "--out", "there")
    assert (done.code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(text) and ("--device cpu" in line or "Studies run on cpu and cuda" in line)
    assert list(tmp_path.iterdir()) == []


def test_a_variant_that_cannot_be_had_leaves_the_others(home: Path, commands: Commands) -> None:
    done = commands(home, *SMALL, "--variants", "fp32,int8-pt2e", "--batch-sizes", "2", "--quiet", "--no-explain")
    variants = {v["name"]: v for v in report(home)["variants"]}  # type: ignore[attr-defined]
    if variants["int8-pt2e"]["status"] == "measured":  # torchao is installed here
        assert done.code in (0, 1)
    else:
        assert done.code in (1, 3)
        assert "torchao" in variants["int8-pt2e"]["remedy"]
    assert variants["fp32"]["status"] == "measured"
