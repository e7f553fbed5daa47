"""Every code used in the sources is explained, and every explained one is used."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import run
from isobatch.pipeline.records.codes import CODES, explain_code
from isobatch.pipeline.records.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
CARRIERS = {"UsageError", "InputError", "warn", "Warning_", "Remark"}
"""What takes a code as its first argument, or as ``code``."""


def words(node: ast.expr) -> Iterator[str]:
    """The texts an expression may give: of an ``or`` or a conditional, every branch."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def codes_in(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            ours = not (isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "warnings")
            if ours and name in CARRIERS:
                found |= {word for part in [*node.args[:1], *given] for word in words(part)}
        elif isinstance(node, ast.JoinedStr):
            found |= {code for part in words(node) for code in re.findall(r"error \[([a-z-]+)\]", part)}
    return found


def sources() -> list[Path]:
    return [
        ROOT / "isobatch" / "program.py",
        *(p for name in ("models", "pipeline", "reports") for p in (ROOT / name).rglob("*.py")),
    ]


def used() -> dict[str, Path]:
    return {code: path for path in sources() for code in codes_in(ast.parse(path.read_text()))}


def test_the_scan_sees_every_way_a_code_is_given() -> None:
    text = (
        "raise UsageError('one', 'text')\nstages.warn('two', f'x')\nWarning_(code='three', text='x')\n"
        "UsageError(error.code or ('four' if x else 'five'), y)\nfail(f'error [six]: {x}')\nother('seven')\n"
    )
    assert codes_in(ast.parse(text)) == {"one", "two", "three", "four", "five", "six"}


def test_every_code_in_the_sources_is_explained() -> None:
    unexplained = {code: str(path.relative_to(ROOT)) for code, path in used().items() if code not in CODES}
    assert not unexplained, "add them to pipeline/records/codes.py"


def test_no_code_is_explained_that_nothing_uses() -> None:
    assert set(CODES) <= set(used())


@pytest.mark.parametrize("code", CODES)
def test_an_explanation_is_whole_sentences(code: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    meaning = CODES[code]
    for text in (meaning.means, meaning.why, meaning.todo):
        assert text.endswith(".") and "\n" not in text and len(text.split()) > 2


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'bad-number'"):
        explain_code("bad-numbers")


def test_help_explains_one_code_or_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["help", "[out-finished]"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("error [out-finished]") and CODES["out-finished"].todo in said
    assert run.main(["help"]) == 0
    listed = capsys.readouterr().out
    assert all(code in listed for code in CODES) and "exit codes" in listed
    assert run.main(["help", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["codes"]) == set(CODES)
    assert run.main(["help", "no-such-thing"]) == 2
    assert "error [unknown-code]" in capsys.readouterr().err
