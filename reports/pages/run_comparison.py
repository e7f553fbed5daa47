"""Two compared runs as blocks: what differs around them, which bytes are equal, what changed. Gate first."""

import json

from isobatch.pipeline.records.wording import counted, out_of
from isobatch.pipeline.tools.two_runs.records import Apart, Difference, RunChange, RunComparison, SetCompared
from isobatch.reports import numbers
from isobatch.reports.blocks import (
    Block,
    Bullets,
    Callout,
    Code,
    Column,
    Line,
    Paragraph,
    Row,
    Table,
    codes,
    line,
    table_of,
)
from isobatch.reports.files.json_report import strict
from isobatch.reports.files.markdown import MAX_BYTES, escaped, to_markdown

TITLE = "Two runs compared"
_SELF = "A and B are the same run: nothing can have changed."
MAX_ROWS = 40
"""Rows of one table in Markdown: a comment on a pull request has an end."""


def comparison_json(comparison: RunComparison) -> str:
    """The comparison as strict JSON, with the gate's answer beside the records."""
    record = comparison.model_dump() | {"portable": comparison.portable, "regressed": bool(comparison.regressions)}
    return json.dumps(strict(record), indent=1, allow_nan=False)


def _same_run(comparison: RunComparison) -> bool:
    """Whether both are one run; two machines may name theirs alike in the same second."""
    return comparison.a == comparison.b and not (comparison.differences or comparison.changes or comparison.left_out)


def comparison_blocks(comparison: RunComparison, max_rows: int | None = None) -> list[Block]:
    """The gate, the differences around the runs, the outputs, the changes. ``max_rows`` a table, the rest counted."""
    runs = line("A: ", Code(comparison.a.run_id), f" of {comparison.a.created_utc}. B: ", Code(comparison.b.run_id))
    blocks: list[Block] = [
        _gate(comparison),
        Paragraph((*runs, f" of {comparison.b.created_utc}."), small=True),
        *([Paragraph(line(_SELF))] if _same_run(comparison) else []),
        _table("Differences around the runs", list(map(_difference, comparison.differences)), max_rows)
        if comparison.differences
        else Paragraph(line("Environment and configuration are the same in both runs.")),
    ]
    if comparison.left_out:
        blocks.append(Paragraph(line("Not compared: " + "; ".join(comparison.left_out) + ".")))
    if comparison.sets:
        caption = "Output bytes of B against A. |difference|: largest over the outputs whose rows both runs still have"
        blocks.append(_table(caption, list(map(_set, comparison.sets)), max_rows))
        remarks = tuple(words for pair in comparison.sets if (words := _remark(pair)))
        blocks += [Bullets(remarks[:max_rows])] if remarks else []
    if comparison.changes:
        worst_first = sorted(comparison.changes, key=lambda c: ("regression", "improvement", "other").index(c.kind))
        blocks.append(_table("What changed", list(map(_change, worst_first)), max_rows))
    else:
        blocks.append(Paragraph(line("No verdict, status, accuracy or cost changed.")))
    return blocks


def comparison_markdown(comparison: RunComparison) -> str:
    """The comparison for a pull request's comment: at most 60,000 bytes, tables cut where it would be longer."""
    rows = MAX_ROWS
    while True:
        parts = [f"## {escaped(TITLE)}", *map(to_markdown, comparison_blocks(comparison, rows))]
        text = "\n\n".join(parts) + "\n"
        if len(text.encode()) <= MAX_BYTES or rows == 1:
            return text
        rows = max(1, rows // 2)


def _gate(compared: RunComparison) -> Callout:
    same, variants = compared.portable, {pair.variant for pair in compared.sets}
    words: Line = line(f"Same bytes in both runs: {len(same)} of {counted(len(variants), 'variant')}")
    words = (*words, *((": ", *codes(same)) if same else ()), ".")
    if not compared.regressions:
        return Callout("good", line("No regression"), (Paragraph(words),))
    named = [
        f"{regression.variant or 'the run'}: {regression.what} {regression.a} → {regression.b}"
        for regression in compared.regressions[:5]
    ]
    more = len(compared.regressions) - len(named)
    text = "; ".join(named) + (f"; and {more} more" if more > 0 else "")
    title = line(f"{counted(len(compared.regressions), 'regression')}: {text}")
    return Callout("bad", title, (Paragraph(words),))


def _difference(difference: Difference) -> Row:
    return {
        Column("What", "name"): difference.what,
        Column("Of the"): difference.group,
        Column("A"): difference.a,
        Column("B"): difference.b,
    }


def _set(compared: SetCompared) -> Row:
    equal = numbers.events(compared.n_equal, compared.n_outputs, None) if compared.n_outputs else None
    if equal and compared.n_undecided:
        equal += f", {compared.n_undecided} unknown"
    return {
        Column("Variant", "name"): compared.variant,
        Column("Inputs"): compared.inputs,
        Column("Verdict A", "state"): compared.verdict_a,
        Column("Verdict B", "state"): compared.verdict_b,
        Column("Outputs equal", "number"): equal,
        Column("Max |difference|", "number"): numbers.difference(compared.apart.max_abs) if compared.apart else None,
    }


def _remark(compared: SetCompared) -> Line:
    """Where the largest difference is, and what stands in the way of more; empty where there is nothing to say."""
    said = [_where(compared.apart)] if compared.apart else []
    said += compared.notes
    return line(Code(compared.variant), f", {compared.inputs}: {'; '.join(said)}") if said else ()


def _where(apart: Apart) -> str:
    flips = f", {counted(apart.top1_flips, 'top-1 flip')}" if apart.top1_flips is not None else ""
    rows = out_of(apart.n_images - apart.n_images_equal, apart.n_images, "image", "differ")
    return f"farthest at N = {apart.batch_size}, where {rows}{flips}"


def _change(change: RunChange) -> Row:
    kind = {"regression": "× regression", "improvement": "✓ improvement", "other": "· change"}[change.kind]
    what = f"{change.what} on {change.inputs}" if change.inputs else change.what
    return {
        Column("Kind"): kind,
        Column("Variant", "name"): change.variant or "(run)",
        Column("What"): what,
        Column("A"): change.a,
        Column("B"): change.b,
        Column("Note"): change.note or None,
    }


def _table(caption: str, rows: list[Row], max_rows: int | None) -> Table:
    shown = rows[:max_rows]
    more = f"; {len(rows) - len(shown):,} more rows only in --json" if len(shown) < len(rows) else ""
    return table_of(f"{caption}{more}.", shown)
