"""The tables of the pages on engines and switches, drawn from records."""

import sys
from pathlib import Path

import pytest

from benchmarks.tables import main
from tests.pipeline.tools.switches.test_switches import report, result
from tests.reports.studies import full


def printed(which: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "records.json"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["tables", which, str(file)])
    main()


def test_engines_have_a_row_for_every_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = full()
    printed("engines", study.model_dump_json(), tmp_path, monkeypatch)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    names = {line.split("`")[1] for line in rows}
    assert names == {variant.name for variant in study.variants if variant.role == "candidate"}


def test_switches_have_a_row_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = report(result("as shipped", asked="nothing"), result("it = on", moves_bits=True)).model_dump_json()
    printed("switches", text, tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert "| as shipped | – | yes |" in said and "| it = on | it: on | yes | yes |" in said
