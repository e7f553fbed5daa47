import io
import threading
import time

import pytest
from rich.live import _RefreshThread

from isobatch.pipeline.prepare.outlook import After
from isobatch.pipeline.records.study import DecidedBy, VariantResult
from isobatch.reports.screen.progress import ScreenProgress
from tests.reports.screen.test_terminal import Tty
from tests.waiting import until


def test_a_pipe_gets_one_line_for_each_new_label() -> None:
    stream = io.StringIO()
    with ScreenProgress(quiet=False, stream=stream) as progress:
        progress.plan(10.0)
        for _ in range(3):
            progress.step("fp32, round 1 of 2", 1.0)
        progress.step("int8-x86, round 1 of 2", 0.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("fp32, round 1 of 2 (10 %, about ")
    assert lines[1].startswith("int8-x86, round 1 of 2 (30 %, about ")
    assert "\x1b" not in stream.getvalue()


def test_work_done_side_by_side_is_said_once_each() -> None:
    stream = io.StringIO()
    with ScreenProgress(quiet=False, stream=stream) as progress:
        progress.plan(10.0)
        for label in ("fp32", "bf16", "fp32", "bf16", "fp32"):
            progress.step(label, 1.0, beside=1)
    assert [line.split(" (")[0] for line in stream.getvalue().splitlines()] == ["fp32", "bf16"]


def test_the_time_left_scales_with_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = ScreenProgress(quiet=True, stream=io.StringIO())
    progress.plan(40.0)
    assert (progress.left_s, progress.share_done) == (None, 0.0)
    now[0] += 20.0
    progress.step("a", 10.0)
    assert (progress.left_s, progress.share_done) == (45.0, 0.25)
    progress.step("b", 99.0)
    assert (progress.left_s, progress.share_done) == (0.0, 1.0)
    progress.plan(5.0)
    assert progress.left_s == pytest.approx(5.0 * 30.0 / 50.0)  # at the pace of what was done before


def test_what_turns_out_to_be_more_work_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = ScreenProgress(quiet=True, stream=io.StringIO())
    shares = []
    for left_s in (30.0, 20.0, 90.0, 80.0, 1.0):
        progress.plan(left_s, real=True)
        now[0] += 10.0
        shares.append(progress.share_done)
    assert shares == sorted(shares) and shares[-1] < 1


def test_what_follows_is_part_of_the_estimate_and_a_race_takes_the_seconds_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = ScreenProgress(quiet=True, stream=io.StringIO())
    progress.plan(90.0, After(cost=50.0, seconds=60.0))
    now[0] += 190.0
    progress.step("a", 90.0)
    assert progress.left_s == pytest.approx(50.0 * 2 + 60.0)
    progress.plan(60.0, After(cost=10.0), real=True)
    assert progress.left_s == pytest.approx(60.0 + 10.0 * 2)
    now[0] += 45.0
    assert progress.left_s == pytest.approx(15.0 + 10.0 * 2)
    assert progress.share_done == pytest.approx(235.0 / 270.0)


def test_no_more_is_said_to_be_left_than_the_budget_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = ScreenProgress(quiet=True, stream=io.StringIO(), limit_s=50.0)
    progress.plan(40.0, After(seconds=90.0))
    now[0] += 20.0
    progress.step("a", 20.0)
    assert progress.left_s == 30.0
    now[0] += 40.0
    assert progress.left_s == 0.0


def test_a_step_before_any_plan_makes_no_estimate() -> None:
    stream = io.StringIO()
    with ScreenProgress(quiet=False, stream=stream) as progress:
        progress.step("build fp32", 0.0)
        progress.step("read", 3.0)
    assert stream.getvalue() == "build fp32\nread\n"


def test_quiet_says_nothing() -> None:
    for stream in (io.StringIO(), Tty()):
        with ScreenProgress(quiet=True, stream=stream) as progress:
            progress.plan(1.0)
            progress.step("fp32", 1.0)
            progress.line("a warning")
        assert stream.getvalue() == ""


def test_lines_are_kept_and_cleaned() -> None:
    stream = io.StringIO()
    with ScreenProgress(quiet=False, stream=stream) as progress:
        progress.line("first\nsecond \x1b[31m[bold]red[/bold] " + "x" * 200)
    assert stream.getvalue() == f"first\nsecond \N{REPLACEMENT CHARACTER}[31m[bold]red[/bold] {'x' * 200}\n"


def test_a_terminal_gets_one_line_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Tty()
    with ScreenProgress(quiet=False, stream=stream) as progress:
        progress.plan(2.0)
        progress.step("int8-x86, round 1 of 2", 1.0, beside=3)
        progress.line("kept on the screen")
        progress.refresh()
    text = stream.getvalue()
    assert "int8-x86, round 1 of 2 (+3)" in text and "50 %" in text and "kept on the screen" in text
    assert text.rstrip().endswith("\x1b[2K") or "\x1b[?25h" in text, "the cursor comes back"


def test_the_display_ends_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Tty()
    with pytest.raises(KeyboardInterrupt), ScreenProgress(quiet=False, stream=stream):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in stream.getvalue()


def judged(name: str, verdict: str | None) -> VariantResult:
    decided = DecidedBy(inputs="seed", condition=None, batch_size=None, why="All bytes are those of their singles.")
    status = "measured" if verdict else "failed"
    fields = {"runtime": "torch", "precision": "fp32", "status": status, "reason": None if verdict else "no such layer"}
    return VariantResult(name=name, **fields, verdict=verdict, decided_by=decided if verdict else None)  # type: ignore[arg-type]


def test_verdicts_are_lines_in_a_pipe_and_a_table_on_a_terminal() -> None:
    rows = [judged("fp32", "batch-invariant"), judged("bf16", None)]
    pipe, terminal = io.StringIO(), Tty()
    with ScreenProgress(quiet=False, stream=pipe) as progress:
        for row in rows:
            progress.verdict(row)
    assert pipe.getvalue().splitlines() == [
        "fp32: batch-invariant: All bytes are those of their singles.",
        "bf16: failed: no such layer",
    ]
    with ScreenProgress(quiet=False, stream=terminal) as progress:
        progress.step("int8-x86, round 1 of 2", 0.0)
        for row in rows:
            progress.verdict(row)
        progress.refresh()
        shown = terminal.getvalue()
    assert "Verdict" in shown and "batch-invariant" in shown and "no such layer" in shown


def test_the_table_stays_where_the_study_was_stopped() -> None:
    stream = Tty()
    with pytest.raises(KeyboardInterrupt), ScreenProgress(quiet=False, stream=stream) as progress:
        progress.verdict(judged("fp32", "batch-invariant"))
        raise KeyboardInterrupt
    assert stream.getvalue().rstrip().endswith("All bytes are those of their singles.")


def test_a_still_line_is_drawn_at_each_step_and_by_no_thread() -> None:
    stream = Tty()
    with ScreenProgress(quiet=False, stream=stream) as progress:
        with progress.still():
            until(lambda: not any(isinstance(thread, _RefreshThread) for thread in threading.enumerate()))
            progress.step("race of 3", 0.0)
            assert "race of 3" in stream.getvalue()
        assert any(isinstance(thread, _RefreshThread) for thread in threading.enumerate())
