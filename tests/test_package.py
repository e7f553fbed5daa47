"""The package as a user sees it: public names, the pytest plugin, a finished study, settings of a project."""

import math
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

import isobatch
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.config.sources import read_settings
from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.finished import FinishedStudy
from tests.reports.studies import strange
from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "reports" / "sample" / "report.json"


def test_the_public_names_are_there_and_load_nothing_before_they_are_used() -> None:
    code = (
        "import sys, isobatch\n"
        "heavy = {'torch', 'onnxruntime', 'numpy', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "print(*[getattr(isobatch, name).__name__ for name in isobatch.__all__])\n"
        "assert not {'torch', 'onnxruntime'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=ENDS_S)
    names = "assert_batch_invariant compare_batch_invariance load make_batch_invariant"
    assert done.stdout.strip() == names, done.stderr


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match="it has assert_batch_invariant, compare, load, make_batch_invariant"):
        isobatch.comparre  # noqa: B018


def test_a_finished_study_is_rows_and_a_table() -> None:
    study = isobatch.load(SAMPLE)
    rows = {row["variant"]: row for row in study.rows()}
    assert rows["fp32"]["verdict"] == study["fp32"].verdict == "top1-stable"
    assert study.chosen in rows and rows["fp32"]["max_abs_relative"] > 0
    assert study.study.race is not None
    raced = next(other for other in study.study.race.contestants if other.variant == study.chosen)
    shown = rows[study.chosen]["throughput_img_s"]  # the report's, and not that of the passes
    assert shown == pytest.approx(median(raced.batch_size / seconds for seconds in raced.call_s))
    assert len(repr(study)) < 120 and f"deploy {study.chosen}" in repr(study)
    page = study._repr_html_()
    assert page.count("<tr>") == len(rows) + 1 and "<script" not in page and "top1-stable" in page
    with pytest.raises(KeyError, match="no variant 'fp33'"):
        study["fp33"]


def test_a_difference_that_is_no_number_is_the_largest() -> None:
    row = FinishedStudy(strange()).rows()[0]
    assert math.isnan(row["max_abs_relative"]) and row["throughput_img_s"] is None


def test_the_plugin_hands_its_options_to_the_assertion(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_lenient(assert_batch_invariant):\n"
        "    assert 'torch' not in sys.modules\n"
        "    assert_batch_invariant(*mixing())\n"
        "def test_strict(assert_batch_invariant):\n"
        "    assert_batch_invariant(*mixing(), relative_tolerance=0.0)\n"
        "def mixing():\n"
        "    import torch\n"
        "    class Mean(torch.nn.Module):\n"
        "        def forward(self, x):\n"
        "            return x + x.mean(dim=0)\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(Mean()).eval(), torch.randn(6, 3)\n"
    )
    done = with_plugin(tmp_path, "--isobatch-batch-sizes", "3", "--isobatch-tolerance", "1e6")
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "test_strict" in done.stdout and "at N = 3 (tried N = 3)" in done.stdout


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("isobatch_tolerance", "few", "'few' is not a number of at least 0. Give one such as 1e-6, or leave it out"),
        ("isobatch_batch_sizes", "few", "'few' is not a number or range. Batch sizes are written 2-8 or 2,4,16;"),
        ("isobatch_batch_sizes", "1", "isobatch_batch_sizes names only 1, the example alone: give one to compare it"),
    ],
)
def test_a_setting_that_names_no_numbers_stops_pytest_before_any_test(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    (tmp_path / "test_it.py").write_text("def test_one():\n    pass\n")
    other = {"isobatch_tolerance": "atch sizes", "isobatch_batch_sizes": "1e-6"}[name]
    for given in (["-o", f"{name}={value}"], [f"--{name.replace('_', '-')}={value}"]):
        done = with_plugin(tmp_path, *given)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR and "1 passed" not in done.stdout
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        assert (said in line.replace("--isobatch-batch-sizes", "isobatch_batch_sizes"), other in line) == (True, False)


@pytest.mark.parametrize("sizes", ["[2, 4]", '["2-8"]', '"2,4"', "4"])
def test_settings_in_toml_may_be_numbers_and_lists(tmp_path: Path, sizes: str) -> None:
    (tmp_path / "test_it.py").write_text("def test_one():\n    pass\n")
    stated = f"isobatch_batch_sizes = {sizes}\nisobatch_tolerance = 0.5\n"
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{stated}")
    done = with_plugin(tmp_path, "-W", "error")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def with_plugin(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest on the folder's test_it.py."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "isobatch.pytest_plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options, "test_it.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=ENDS_S,
    )


def test_a_project_file_holds_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.isobatch]\nbatch-sizes = "2-4"\nquick = true\n')
    settings = read_settings(study_parser(""), [], {})
    assert settings.arguments.batch_sizes == "2-4" and settings.arguments.quick
    assert str(settings.announcement()).startswith("pyproject.toml sets ")
    (tmp_path / "isobatch.toml").write_text('batch-sizes = "2"\n')
    assert read_settings(study_parser(""), [], {}).arguments.batch_sizes == "2"
    (tmp_path / "isobatch.toml").unlink()
    (tmp_path / "pyproject.toml").write_text("[tool]\nisobatch = 3\n")
    with pytest.raises(UsageError, match="make it a table"):
        read_settings(study_parser(""), [], {})
