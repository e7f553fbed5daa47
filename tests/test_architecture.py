"""The directions of imports, one name for each module, and what must stay out of a cold start."""

import ast
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "models": {"models"},
    "pipeline": {"models", "pipeline"},
    "reports": {"models", "pipeline", "reports"},
}
FLOORS = {  # from the upper floor to the lowest; a module imports from its own floor and the lower ones
    "pipeline": [
        "testing",
        "api",
        "study",
        "tools",
        "user",
        "certify",
        "race",
        "repair",
        "deploy",
        "prepare",
        "decide",
        "explain",
        "inputs",
        "compare",
        "config",
        "processes",
        "evidence",
        "machine",
        "storage",
        "records",
    ],
    "reports": [
        "commands",
        "pages screen finished",
        "files",
        "sections",
        "speeds",
        "views",
        "figures",
        "blocks numbers escape missing inputs_in_words facts_in_words",
    ],
}
DOTTED = re.compile(r"isobatch\.(?:models|pipeline|reports)(?:\.[a-z_0-9]+)+(?::[A-Za-z_]+)?")
BARE = re.compile(r"(?:models|pipeline|reports)(?:\.[a-z_0-9]+)+(?::[A-Za-z_]+)?")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The dotted names of all modules that this file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    for path in modules(package):
        ours = {name.split(".")[1] for name in imported(path) if name.startswith("isobatch.")}
        assert ours & set(ALLOWED) <= ALLOWED[package], f"{path.relative_to(ROOT)} imports to the right"
        assert not tops(path) & {"run", "tests", "benchmarks"}, path.relative_to(ROOT)


@pytest.mark.parametrize("package", FLOORS)
def test_imports_go_down(package: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms.split()}
    for path in modules(package):
        here = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if here == "__init__":
            continue
        for name in imported(path):
            there = name.removeprefix(f"isobatch.{package}.").split(".")[0]
            if name.startswith(f"isobatch.{package}.") and there in floor:
                assert floor[here] <= floor[there], f"{path.relative_to(ROOT)} imports {name}, on a floor above"


@pytest.mark.parametrize("package", ["models", "pipeline", "reports", "tests", "benchmarks"])
def test_no_module_of_ours_has_a_second_name(package: str) -> None:
    """Two names of one file are two modules: what one of them is told, the other does not know."""
    for path in [*modules(package), ROOT / "run.py", *(ROOT / "isobatch").glob("*.py")]:
        assert not tops(path) & set(ALLOWED), f"{path.relative_to(ROOT)} imports a module of ours under a bare name"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not BARE.fullmatch(node.value), f"{path.relative_to(ROOT)} names {node.value}"


@pytest.mark.parametrize("package", ["models", "pipeline", "reports"])
def test_every_module_named_in_a_string_is_there(package: str) -> None:
    for path in modules(package):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value)):
                continue
            module, _, attribute = node.value.partition(":")
            if module.rpartition(".")[2] == "preload":
                continue  # importing it loads what a launcher needs
            assert not attribute or hasattr(importlib.import_module(module), attribute), f"{path.name}: {node.value}"
            assert importlib.util.find_spec(module), f"{path.name}: {node.value}"


def test_what_is_called_by_a_string_in_a_worker_stands_in_an_in_worker_file() -> None:
    for path in modules("pipeline"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
                module, _, function = node.value.partition(":")
                ours = module.startswith("isobatch.pipeline.")
                assert not (ours and function) or module.endswith(".in_worker"), (
                    f"{path.relative_to(ROOT)}: {node.value}"
                )
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func) not in ("workers.call", "workers.begin", "stages.workers.call"):
                continue
            for asked in (part for argument in node.args for part in ast.walk(argument)):
                if isinstance(asked, ast.Constant) and isinstance(asked.value, str) and ":" in asked.value:
                    assert ".in_worker:" in asked.value, f"{path.relative_to(ROOT)}: {asked.value}"


@pytest.mark.parametrize("package", ["pipeline", "reports"])
def test_no_runtime_outside_models(package: str) -> None:
    for path in modules(package):
        assert not tops(path) & {"torch", "torchvision", "onnxruntime", "onnx", "openvino"}, path.relative_to(ROOT)


def test_a_long_file_has_its_reason_in_the_architecture() -> None:
    long = {
        str(path.relative_to(ROOT))
        for package in ALLOWED
        for path in modules(package)
        if path.read_text().count("\n") > 250
    }
    assert long == {"pipeline/records/study.py", "pipeline/records/codes.py"}  # docs/architecture.md says why


def test_a_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    for path in (path for package in (*ALLOWED, "benchmarks") for path in modules(package)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    twice = {name: files for name, files in places.items() if len(files) > 1}
    # What ran, on both sides of the wall (workers load no pydantic); the shipped script has its own words.
    assert set(twice) == {"Effective", "GraphMade", "Network"}, twice


@pytest.mark.parametrize(
    ("library", "door"), [("fcntl", "models/shared/regular_files.py"), ("difflib", "models/spec/nearest.py")]
)
def test_files_are_locked_and_names_guessed_in_one_place(library: str, door: str) -> None:
    using = [path for package in ALLOWED for path in modules(package) if library in imported(path)]
    assert [str(path.relative_to(ROOT)) for path in using] == [door]


def test_torchvision_enters_through_one_door() -> None:
    doors = {path.name for path in modules("models") if "torchvision" in tops(path)}
    assert doors == {"torchvision_compat.py", "network_torch.py"}  # the latter is shipped, and runs without us


def test_only_the_store_writes_in_the_pipeline() -> None:
    writers = {"write_text", "write_bytes", "savez", "tofile", "symlink_to"}
    # The store; a worker's reply in a scratch folder; the link to the latest run.
    exempt = {"storage/files.py", "processes/launcher.py", "prepare/run_folder.py"}
    for path in modules("pipeline"):
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        place = str(path.relative_to(ROOT / "pipeline"))
        assert place in exempt or not calls & writers, place


def test_every_scratch_folder_carries_the_mark_of_the_sweep() -> None:
    """Or lies in a folder that does: its place is said with ``dir``. A file without a name leaves nothing behind."""
    for path in (path for package in ALLOWED for path in modules(package) if path.name != "scratch.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                makes = node.func.attr in {"mkdtemp", "mkstemp", "mktemp", "TemporaryDirectory", "NamedTemporaryFile"}
                placed = any(keyword.arg == "dir" for keyword in node.keywords)
                assert not makes or placed, f"{path.relative_to(ROOT)}, line {node.lineno}: use Scratch"
        assert not imported(path) & {f"tempfile.{name}" for name in dir(tempfile)}, path.relative_to(ROOT)


def test_workers_open_a_variant_through_one_door() -> None:
    """Which limits what a network from outside may take (``pipeline/processes/opening.py``)."""
    doors = set()
    for path in modules("pipeline"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "load" and node.args:
                opened = node.args[0]
                if isinstance(opened, ast.Attribute) and opened.attr == "open":
                    doors.add(str(path.relative_to(ROOT / "pipeline")))
    assert doors == {"processes/opening.py", "tools/ops/in_worker.py"}  # the latter opens operations of our own


@pytest.mark.parametrize("flag", ["--help", "--version", "--list-variants", "--show-config", "help"])
def test_a_cold_start_loads_no_numeric_library(flag: str) -> None:
    code = (
        "import sys, run\n"
        "try:\n    code = run.main(sys.argv[1:])\n"
        "except SystemExit as end:\n    code = end.code\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'scipy', 'rich'} & set(sys.modules)\n"
        "bare = {'models', 'pipeline', 'reports'} & set(sys.modules)\n"
        "print('loaded', sorted(heavy | bare), 'code', code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, flag], cwd=ROOT, capture_output=True, text=True, timeout=ENDS_S)
    assert done.stdout.splitlines()[-1] == "loaded [] code 0", done.stdout + done.stderr


def test_what_crosses_the_wall_is_read_as_a_record() -> None:
    """A worker reads what it was asked through ``Crossing.of``, and no value of it by its key."""
    unread = []
    for path in modules("pipeline"):
        if path.name != "in_worker.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("payload", "request", "event"):
                unread.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not unread
