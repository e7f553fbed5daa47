import io
import re
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from isobatch.pipeline.records.study import Study
from isobatch.reports.screen.summary import LINES, summary
from isobatch.reports.screen.terminal import WIDTH, console_for, print_summary
from tests.reports import studies
from tests.reports.payloads import GROUPS, poisoned

PATHS = {name: Path(f"out/20260314T092653Z-1a2b3c4d/report.{name}") for name in ("html", "md", "json")}


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(study: Study, stream: io.StringIO, verbose: bool = False) -> str:
    print_summary(study, PATHS, stream, verbose)
    return stream.getvalue()


@cache
def piped(name: str, verbose: bool = False) -> str:
    return printed(studies.ALL[name](), io.StringIO(), verbose)


def closing(text: str) -> list[str]:
    lines = text.splitlines()
    start = max(at for at, line in enumerate(lines) if line.startswith("Summary "))
    return lines[start:]


def crowded() -> Study:
    study = studies.full()
    many = [v.model_copy(update={"name": f"{v.name}-{i}"}) for i in range(6) for v in study.variants]
    warnings = [w.model_copy(update={"text": f"{i} {w.text * 9}"}) for i in range(9) for w in study.warnings]
    assert study.answer is not None
    told = study.answer.model_copy(update={"sentence": study.answer.sentence * 9})
    return study.model_copy(update={"variants": many, "warnings": warnings, "answer": told})


@cache
def crowded_text() -> str:
    return printed(crowded(), io.StringIO())


@pytest.mark.parametrize("name", [*studies.ALL, "crowded"])
def test_the_closing_summary_fits(name: str) -> None:
    lines = closing(crowded_text() if name == "crowded" else piped(name))
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize("width", [80, 66])
def test_a_narrow_terminal_leaves_columns_out_before_a_number_is_cut(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for shown in summary(studies.full(), PATHS, width):
        console.print(shown)
    lines = stream.getvalue().splitlines()
    names = ["Variant", *(variant.name for variant in studies.full().variants)]
    start = next(number for number, text in enumerate(lines) if text.startswith("Variant "))
    table = [text for text in lines[start:] if text.partition(" ")[0] in names]
    assert len(table) > 9
    assert max(map(len, table)) <= width and not any("…" in text for text in table)
    assert "img/s @ N" in table[0] and "Size" not in table[0] and "... and, in the report: " in stream.getvalue()


def test_the_summary_has_all_it_should() -> None:
    lines = closing(piped("full"))
    text = "\n".join(lines)
    for variant in studies.full().variants:
        assert sum(line.startswith(variant.name + " ") for line in lines) == 1
    assert "It depends on the implementation" in text
    assert "Deploy ort-int8, 8 images at a time" in text
    assert "Why: It is batch-invariant" in text
    assert "Decided by speed; runner-up ort-int8-qoperator, 1.02 x the time; sureness 9" in text
    price = "Price: Nothing: no variant that meets every other demand is shown to be faster than its 106 img/s at N = 8"
    assert f"{price}." in " ".join(text.split())
    assert "Warning: no cached ImageNet weights" in text
    wide = "".join(str(shown) for shown in summary(studies.full(), PATHS, 200))
    assert "~ marks times that were not raced." in wide and "~ marks" not in text  # it takes no line of its own
    assert "Not measured: int8-pt2e (unavailable: torchao is not installed)" in text
    assert lines[-3:] == [str(path) for path in PATHS.values()]
    assert "…" not in text, "a cell was cut"


def test_repairs_have_a_short_mark_and_a_stage_that_has_not_run_has_none() -> None:
    told = " ".join(closing(piped("full")))
    assert "Repaired, batch-invariant: fp32+surgical (0.99 x at N = 8), bf16+surgical (0.97 x at N = 8)" in told
    assert "No repair holds: ort-int8-dynamic." in told
    silent = piped("unasked", verbose=True)
    for title in ("Where the difference starts", "What makes it batch-invariant", "How it grows", "Repaired"):
        assert title not in silent


def test_a_repair_that_time_cut_short_is_said_to_be_at_most_this_slow() -> None:
    study = studies.full()
    cut = [
        v.model_copy(
            update={"repairs": [repair.model_copy(update={"out_of_time": True}) for repair in v.repairs or []]}
        )
        if v.name == "fp32"
        else v
        for v in study.variants
    ]
    told = " ".join(closing(printed(study.model_copy(update={"variants": cut}), io.StringIO())))
    remedy = "python run.py repair --variant fp32 with this study's flags tries another way"
    assert f"At most this slow: fp32+surgical ({remedy})." in " ".join(told.split())
    assert "another way" not in " ".join(closing(piped("full")))


def test_a_repair_that_is_no_candidate_for_want_of_a_comparison_says_so() -> None:
    study = studies.full()
    other = [
        v.model_copy(
            update={"repairs": [repair.model_copy(update={"singles_as_native": False}) for repair in v.repairs or []]}
        )
        if v.name == "bf16"
        else v
        for v in study.variants
    ]
    told = " ".join(printed(study.model_copy(update={"variants": other}), io.StringIO()).split())
    assert "No candidate: bf16+surgical (accuracy unknown against the limit of 2 points: the surgical repair" in told
    assert "No candidate" not in piped("full")


def test_images_that_calibrate_and_are_not_measured_are_counted_where_the_number_stands() -> None:
    study = studies.full()
    few = study.inputs[-1].model_copy(update={"n": 11, "n_files": 16, "kept_to_calibrate": 5, "skipped": []})
    told = printed(study.model_copy(update={"inputs": [*study.inputs[:-1], few]}), io.StringIO())
    assert f"Measured of {few.name}: 11 of 16 images, 5 kept to calibrate int8." in closing(told)
    assert "Measured of" not in piped("full")


def test_rows_that_do_not_fit_are_named() -> None:
    text = crowded_text()
    assert re.search(r"\.\.\. and, in the report: \w", text) and re.search(r"\.\.\. and \d+ warnings more", text)


@pytest.mark.parametrize("name", list(studies.ALL))
@pytest.mark.parametrize("verbose", [False, True])
def test_a_pipe_gets_plain_text(name: str, verbose: bool) -> None:
    text = piped(name, verbose)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_terminal_gets_colour_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in printed(studies.full(), Tty())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", printed(studies.full(), Tty()))


def test_verbose_prints_the_folded_sections_too() -> None:
    plain, verbose = (piped("full", verbose) for verbose in (False, True))
    assert "The original post's own table" in plain and "Glossary" not in plain
    assert "Glossary" in verbose


@pytest.mark.parametrize("payloads", GROUPS)
def test_no_string_steers_the_terminal(payloads: tuple[str, ...]) -> None:
    text = printed(poisoned(studies.small(), " ".join(payloads)), io.StringIO(), verbose=True)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u202e\u2066]", text)


def test_markup_is_shown_not_obeyed() -> None:
    text = printed(poisoned(studies.small(), "[bold]x[/bold] :smile:"), io.StringIO())
    assert "[bold]x[/bold] :smile:" in text


def test_a_narrow_terminal_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Tty()
    assert console_for(stream).width == 60
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", printed(studies.full(), stream)).splitlines())) <= 60
