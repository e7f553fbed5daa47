"""A finished study in a user's own Python: its records, a table of them, and a page in a notebook."""

import importlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, speeds, views
from isobatch.reports.files.json_report import load_study

_COLUMNS = ("runtime", "precision", "status", "verdict", "repeatable")


@dataclass(frozen=True, repr=False)
class FinishedStudy:
    """A run's records as read from its ``report.json``. ``study`` holds all of them, typed."""

    study: Study

    @property
    def chosen(self) -> str | None:
        """The recommended variant; None where nothing meets the policy."""
        return self.study.recommendation.chosen if self.study.recommendation else None

    def __getitem__(self, variant: str) -> VariantResult:
        """The record of one variant. Raises KeyError naming those there are."""
        for record in self.study.variants:
            if record.name == variant:
                return record
        raise KeyError(f"no variant {variant!r} in this run: it has {', '.join(v.name for v in self.study.variants)}")

    def rows(self) -> list[dict[str, Any]]:
        """One row a variant: verdict, largest difference, accuracy (0 to 1), cost (ms, img/s, bytes).

        Times are the report's: those of the race where there was one.
        """
        return [self._row(record) for record in self.study.variants]

    def to_frame(self) -> Any:
        """``rows()`` as a pandas DataFrame indexed by variant. Raises ModuleNotFoundError where pandas is missing."""
        try:
            pandas = importlib.import_module("pandas")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("to_frame() needs pandas: pip install pandas, or use rows()") from error
        return pandas.DataFrame(self.rows()).set_index("variant")

    def __repr__(self) -> str:
        variants = numbers.counted(len(self.study.variants), "variant")
        return f"FinishedStudy({self.study.run_id}, {self._caption()}, {variants})"

    def _repr_html_(self) -> str:
        """For a notebook: the choice and the table of variants, as HTML without style or script."""
        from isobatch.reports.files.html import table_html

        headings = ("Variant", "Verdict", "Noise", "Top-1", "N = 1", "Best throughput", "Size")
        return table_html(self._caption(), headings, [self._cells(record) for record in self.study.variants])

    def _caption(self) -> str:
        model = self.study.weights.model
        return f"{model}: deploy {self.chosen}" if self.chosen else f"{model}: nothing is recommended"

    def _row(self, record: VariantResult) -> dict[str, Any]:
        noise, cost, best = views.batch_noise(record), record.cost, speeds.throughput(self.study, record)
        return {
            "variant": record.name,
            **{name: getattr(record, name) for name in _COLUMNS},
            "max_abs_relative": noise.max_abs_relative if noise else None,
            "top1": record.accuracy.top1 if record.accuracy else None,
            "latency_ms": speeds.latency_ms(self.study, record),
            "throughput_img_s": best.interval.median if best else None,
            "size_bytes": cost.size_bytes if cost else None,
        }

    def _cells(self, record: VariantResult) -> tuple[str, ...]:
        row = self._row(record)
        shown = (
            numbers.known(row["max_abs_relative"], numbers.difference),
            numbers.known(row["top1"], numbers.percent),
            numbers.known(row["latency_ms"], numbers.milliseconds),
            numbers.known(row["throughput_img_s"], lambda rate: f"{numbers.rate(rate)} img/s"),
            numbers.known(row["size_bytes"], numbers.size),
        )
        return (record.name, views.state(record), *(text or "–" for text in shown))


def load(run: str | PathLike[str]) -> FinishedStudy:
    """The study in a run's folder or its ``report.json``. Raises UsageError where there is none or it is damaged."""
    return FinishedStudy(load_study(Path(run)))
