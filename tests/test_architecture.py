"""The directions of imports, and what must stay out of a cold start."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "models": {"models"},
    "pipeline": {"models", "pipeline"},
    "reports": {"models", "pipeline", "reports"},
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    ours = set(ALLOWED) | {"run", "tests", "benchmarks"}
    for path in modules(package):
        assert imported(path) & ours <= ALLOWED[package], f"{path.relative_to(ROOT)} imports to the right"


@pytest.mark.parametrize("package", ["pipeline", "reports"])
def test_no_runtime_outside_models(package: str) -> None:
    for path in modules(package):
        assert not imported(path) & {"torch", "torchvision", "onnxruntime", "onnx"}, path.relative_to(ROOT)


def test_a_long_file_has_its_reason_in_the_architecture() -> None:
    long = {path.name for package in ALLOWED for path in modules(package) if path.read_text().count("\n") > 250}
    assert long == {"records.py", "spec.py", "codes.py"}  # docs/architecture.md says why


def test_torchvision_enters_through_one_door() -> None:
    doors = {path.name for path in modules("models") if "torchvision" in imported(path)}
    assert doors == {"torchvision_compat.py", "network_torch.py"}  # the latter is shipped, and runs without us


def test_only_the_store_writes_in_the_pipeline() -> None:
    writers = {"write_text", "write_bytes", "savez", "tofile", "symlink_to"}
    exempt = {"store.py", "launcher.py", "runs.py"}  # a worker's reply in a scratch folder; the link to the latest run
    for path in modules("pipeline"):
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert path.name in exempt or not calls & writers, path.relative_to(ROOT)


@pytest.mark.parametrize("flag", ["--help", "--version", "--list-variants", "--show-config", "help"])
def test_a_cold_start_loads_no_numeric_library(flag: str) -> None:
    code = (
        "import sys, run\n"
        "try:\n    code = run.main(sys.argv[1:])\n"
        "except SystemExit as end:\n    code = end.code\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'scipy', 'rich'} & set(sys.modules)\n"
        "print('loaded', sorted(heavy), 'code', code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, flag], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "loaded [] code 0", done.stdout + done.stderr
