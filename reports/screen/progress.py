"""How far a study is: one live line on a terminal, plain lines in a pipe, silence on request."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from isobatch.pipeline.prepare.outlook import NOTHING, After
from isobatch.pipeline.records.study import VariantResult
from isobatch.reports import numbers
from isobatch.reports.escape import clean

_LABEL_COLUMNS, _BAR_COLUMNS = 34, 14  # with the estimate they fit 80
_PRIOR_S = 10.0  # so many seconds at the announced pace count beside what was seen: the first steps mislead alone
_NEARLY = 0.99  # done of what more may follow
_SAID_S = 1.0  # less than this is not said to be left


class _SilencedConsole(Console):
    def on_broken_pipe(self) -> None:
        self.quiet = True  # nobody watches any more: no reason to end the study
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class ScreenProgress:
    """Progress of a study on ``stream``: what is being done, the share done, an estimate of the time left.

    Costs are rough seconds; what remains is scaled by how long the part already done has really taken. On a terminal
    one line is redrawn in place; elsewhere each new label is a line of its own; ``quiet`` says nothing.
    """

    def __init__(self, quiet: bool, stream: TextIO, limit_s: float | None = None) -> None:
        """``limit_s``: what is left of a budget: never more is said to be left."""
        self._until = None if limit_s is None else time.monotonic() + limit_s
        self._console = _SilencedConsole(file=stream, quiet=quiet, highlight=False, markup=False, emoji=False)
        self._plain = quiet or not self._console.is_terminal
        self._total = self._done = self._past = 0.0
        self._least = 0.0  # share that was said to be done
        self._after, self._real, self._usual = NOTHING, False, 1.0
        self._label = ""
        self._said: set[str] = set()  # since the last plan
        self._begin = time.monotonic()
        self._verdicts = _table()
        self._live = self._line(moving=True)

    def __enter__(self) -> ScreenProgress:
        if not self._plain:
            self._live.start()
        return self

    def verdict(self, result: VariantResult) -> None:
        """Show one variant's verdict: as a row of the table on a terminal, elsewhere as a line."""
        cells = _cells(result)
        if self._plain:
            self._say(": ".join(cell for cell in cells if cell))
        else:
            self._verdicts.add_row(*map(Text, cells))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._plain:
            self._live.stop()
            if self._verdicts.row_count and kind is not None:
                self._console.print(self._verdicts)  # the closing summary will not come

    def plan(self, total_cost: float, after: After = NOTHING, *, real: bool = False) -> None:
        """Announce the cost of what comes now, and ``after`` it. ``real``: in seconds, which no pace changes."""
        if self._done >= _PRIOR_S and not self._real:
            self._usual = self._pace
        if self._total:
            self._past += time.monotonic() - self._begin
        self._total, self._done, self._begin = total_cost, 0.0, time.monotonic()
        self._after, self._real = after, real
        self._said.clear()

    def step(self, label: str, cost_done: float, beside: int = 0) -> None:
        """Say what is being done, and how much of the cost has been done since the last step.

        ``beside``: how many other things are being done at the same time. Where lines are plain, each label is said
        once, when it comes first, so that work done side by side does not fill the screen.
        """
        self._done = min(self._total, self._done + cost_done)
        label = clean(label)
        if self._plain and label not in self._said:
            self._say(f"{label}{self._estimate(' (', ')')}")
        self._said.add(label)
        self._label = f"{label} (+{beside})" if beside else label
        if not self._live.auto_refresh:
            self.refresh()

    def line(self, text: str) -> None:
        """Say one thing worth keeping on the screen."""
        for part in text.splitlines():
            self._say(clean(part))

    def refresh(self) -> None:
        """Draw the live line now, not at its next turn."""
        if not self._plain:
            self._live.refresh()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Within it the live line is drawn at each step and at no other time, beside no timed call."""
        self._replace(moving=False)
        try:
            yield
        finally:
            self._replace(moving=True)

    def _line(self, moving: bool) -> Live:
        return Live(
            console=self._console, transient=True, auto_refresh=moving, refresh_per_second=4, get_renderable=self._draw
        )

    def _replace(self, moving: bool) -> None:
        if not self._plain:
            self._live.stop()
            self._live = self._line(moving)
            self._live.start()

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    @property
    def share_done(self) -> float:
        """The share of all that is known of that is done, 0 to 1; where more was found to do, what it was before."""
        if self._after == NOTHING and not self._past:
            share = self._done / self._total if self._total > 0 else 0.0
        else:
            spent = self._past + time.monotonic() - self._begin
            share = min(spent / (spent + (self.left_s or 0.0)), _NEARLY) if spent > 0 else 0.0
        self._least = max(self._least, min(share, _NEARLY))
        return max(share, self._least)

    @property
    def left_s(self) -> float | None:
        """Seconds left at the pace so far; None before anything is done."""
        if self._done <= 0 and not self._past:
            return None
        pace = self._usual if self._real else self._pace
        now = self._total - (time.monotonic() - self._begin) if self._real else (self._total - self._done) * pace
        left_s = max(0.0, now) + self._after.cost * pace + self._after.seconds
        return left_s if self._until is None else min(left_s, max(0.0, self._until - time.monotonic()))

    @property
    def _pace(self) -> float:
        """Real seconds for an announced one: of what is done now, and as it was before while that is little."""
        return (time.monotonic() - self._begin + _PRIOR_S * self._usual) / (self._done + _PRIOR_S)

    def _estimate(self, before: str = "", after: str = "") -> str:
        left_s = self.left_s
        if left_s is None:
            return ""
        # what was announced is done, and work goes on: how much of it nobody knows
        left = f", about {numbers.seconds(left_s)} left" if left_s >= _SAID_S else ""
        return f"{before}{numbers.percent(self.share_done, 0)}{left}{after}"

    def _draw(self) -> RenderableType:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=_LABEL_COLUMNS, no_wrap=True, overflow="ellipsis")
        row.add_column(width=_BAR_COLUMNS)
        row.add_column(no_wrap=True)
        row.add_row(Text(self._label), ProgressBar(total=1.0, completed=self.share_done), Text(self._estimate()))
        return Group(self._verdicts, row) if self._verdicts.row_count else row


def _table() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("Variant", "Verdict", "Why"):
        table.add_column(title, no_wrap=title != "Why", overflow="ellipsis")
    return table


def _cells(result: VariantResult) -> tuple[str, str, str]:
    """Name, verdict and the reason of one variant, for one line."""
    if result.verdict is None:
        return result.name, "no verdict" if result.status == "measured" else result.status, clean(result.reason or "")
    return result.name, result.verdict, clean(result.decided_by.why) if result.decided_by else ""
