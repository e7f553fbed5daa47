"""The tables of docs/engines.md and docs/switches.md, from what a run and ``switches --json`` have written.

``python -m benchmarks.tables engines out/RUN/report.json`` · ``python -m benchmarks.tables switches switches.json``.
Both print Markdown; nothing is measured here.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from isobatch.pipeline.records.study import Interval, Study, VariantResult
from isobatch.pipeline.tools.switches.records import SwitchesReport
from isobatch.reports import numbers, views
from isobatch.reports.blocks import Block, Column, Row, table_of
from isobatch.reports.files.markdown import to_markdown
from isobatch.reports.pages.switches import blocks


def engines(study: Study) -> Iterator[Block]:
    """A row for each candidate, the ones priced in the race first, and what the table holds for."""
    shown = study.recommendation.race if study.recommendation else None
    ratios = shown.ratios if shown else {}
    candidates = [v for v in study.variants if v.role == "candidate"]
    ranked = sorted(candidates, key=lambda v: ratios[v.name].median if v.name in ratios else float("inf"))
    rounds = f"; a race of {numbers.counted(shown.rounds, 'round')}, {shown.disturbed} disturbed" if shown else ""
    images = ", ".join(f"{numbers.counted(inputs.n, 'image')} of {inputs.name}" for inputs in study.inputs)
    caption = (
        f"{study.weights.model}, {study.weights.source} weights, {images}; {study.environment.cpu}, "
        f"{numbers.counted(study.environment.threads, 'thread')}{rounds}; {study.created_utc}."
    )
    loads = {c.variant: c.load_s for c in study.race.contestants if c.load_s} if study.race else {}
    yield table_of(caption, (_row(v, ratios.get(v.name), loads.get(v.name)) for v in ranked))


def _row(variant: VariantResult, ratio: Interval | None, load_s: float | None) -> Row:
    ran, error = variant.effective, views.reference_error(variant)
    far = error.max_abs_relative if error else None
    compiled = sum(graph.seconds for graph in ran.graphs) if ran else 0.0
    sets = (batch_classes.classes for batch_classes in variant.classes)
    finest = max(sets, key=lambda classes: (sum(map(len, classes)), len(classes)), default=None)  # of the most N
    return {
        Column("Variant", "name"): variant.name,
        Column("Verdict"): views.state(variant),
        Column("Classes of N"): numbers.batch_classes(finest) if finest else None,
        Column("Computes in"): ran.precision if ran else None,
        Column("int8 layers"): f"{ran.int8_layers} of {ran.weight_layers}" if ran and ran.int8_layers else None,
        Column("Error against the reference", "number"): numbers.known(far, numbers.difference),
        Column("Agrees"): numbers.percent(variant.agreement.share) if variant.agreement else None,
        Column("Time over the leader's in the race", "number"): numbers.known(ratio, numbers.times),
        Column("Load, s", "number"): f"{load_s:.2f}" if load_s else None,
        Column("Compiling, s", "number"): f"{compiled:.1f}" if compiled else None,
    }


def main() -> None:
    """Print the tables that a file's records give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("engines", "switches"))
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    text = asked.file.read_text(encoding="utf-8")
    if asked.which == "engines":
        tables = list(engines(Study.model_validate_json(text)))
    else:
        tables = blocks(SwitchesReport.model_validate_json(text))
    print("\n\n".join(to_markdown(block) for block in tables))


if __name__ == "__main__":
    main()
