"""The docs keep their word: their links lead somewhere, their commands are understood, the cheap ones are run."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest

import run
from isobatch.pipeline.config.flags import study_parser
from isobatch.reports.commands import find_command

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("reports/**/README.md")])
SAMPLE = ROOT / "reports" / "sample" / "report.json"
_MODULE = re.compile(r"`([\w/]+\.py)`")
ROOMS = ("models", "pipeline", "reports", "tests", "benchmarks", "isobatch")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_RETIRED = re.compile(
    r"Pareto line|native self|(?<!-)\bruler\b|A tie is a tie|accuracy lost|images/s\b|verdicts [^.]*(?:do\.|carry over)"
    r"|install (?:-\S+ )*-r requirements\.txt"  # the pins of a package are its constraints
)
_COMMAND = re.compile(r"(?:^|[\s`])(?:\.venv/bin/)?python run\.py([^`\n#]*)", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def commands() -> list[list[str]]:
    """Every command line of the docs, once, without those that only name a pattern (``repair --variant V ...``)."""
    found = {match.strip() for page in PAGES for match in _COMMAND.findall(page.read_text(encoding="utf-8"))}
    return [shlex.split(text) for text in sorted(found) if not re.search(r"\.\.\.|[\[\]|<>]", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), f"{target} leads nowhere"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{target}: {other.name} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_one_thing_has_one_word(page: Path) -> None:
    assert _RETIRED.findall(" ".join(page.read_text(encoding="utf-8").split())) == []


def test_modules_that_the_docs_name_are_there() -> None:
    there = [f"/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    there += [f"/{path.name}" for path in ROOT.glob("*.py")]
    named = {(page.name, name) for page in PAGES for name in _MODULE.findall(page.read_text(encoding="utf-8"))}
    own = {"infer.py", "network.py", "conftest.py"}  # what is shipped, and what users write
    own |= {"multiprocessing/forkserver.py", "popen_forkserver.py"}  # of Python's own library
    named = {(page, name) for page, name in named if "NAME" not in name and name not in own}
    assert [one for one in sorted(named) if not any(path.endswith(f"/{one[1]}") for path in there)] == []


def test_every_mechanism_has_its_page_and_every_page_is_listed() -> None:
    folder = ROOT / "docs" / "mechanisms"
    listed = set(_LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in folder.glob("*.md")} - {"README.md"} == listed


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_docs_is_understood(words: list[str]) -> None:
    if words and not words[0].startswith("-"):
        find_command(words[0]).parser().parse_args(words[1:])
    elif not {"--help", "--version"} & set(words):
        study_parser("").parse_args(words)


@pytest.mark.parametrize("room", ROOMS)
def test_a_field_is_explained_on_a_line_of_its_own(room: str) -> None:
    """A field is explained on its own line, or on a line of the class's docstring that it has to itself."""
    crowded = []
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                fields = {ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)}
                for line in (ast.get_docstring(node) or "").splitlines():
                    if fields.intersection(re.findall(r"[.;] ``(\w+)``(?: None)?: ", line)):
                        crowded.append(f"{path.relative_to(ROOT)}: {node.name}: {line}")
    assert not crowded


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 10


def cheap() -> list[list[str]]:
    return [words for words in commands() if words[:1] in (["render"], ["recommend"]) or words == ["--list-variants"]]


@pytest.mark.parametrize("words", cheap(), ids=" ".join)
def test_a_cheap_command_runs(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SAMPLE, tmp_path / "report.json")
    if words[0] in ("render", "recommend"):
        words = [words[0], str(tmp_path), *words[2:]]
    assert run.main(words) in (0, 1, 3)
    assert capsys.readouterr().out
