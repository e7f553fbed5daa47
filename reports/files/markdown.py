"""``report.md``: fits a pull request's comment; long sections are folded, and what does not fit is counted."""

import re
from collections.abc import Iterable

from isobatch.pipeline.records.study import Study
from isobatch.reports import blocks, numbers
from isobatch.reports.blocks import STATE_SIGNS, Block, Code, Column, Line, Link, Written
from isobatch.reports.escape import clean
from isobatch.reports.sections import or_why_not, write_all

MAX_BYTES = 60_000
"""GitHub takes 65,536 characters in a comment."""
MAX_ROWS = 40
_ACTIVE = re.compile(r"[\\`*_\[\]|~$]")
_ACTIVE_FIRST = re.compile(r"^(\s*\d*)([-+#=.)])(?=[-+#=\s]|$)")
_SIGNS = {"good": "✅", "caution": "⚠️", "bad": "❌", "note": "💬"}


def escaped(text: str, first: bool = True) -> str:
    """Text that Markdown shows as it stands: no markup, no HTML, no mention of a person, no table cell broken.

    ``first``: whether it may begin a line, where more signs are markup.
    """
    text = _ACTIVE.sub(r"\\\g<0>", _in_html(text))
    return _ACTIVE_FIRST.sub(r"\1\\\2", text) if first else text


def _in_html(text: str) -> str:
    """Text as it stands between tags, where Markdown's own signs, a backslash among them, are no markup."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("://", ":\u200b//").replace("@", "@\u200b").replace("www.", "www\u200b.")


def code(text: str) -> str:
    """Text as code: within it nothing is markup; its fence is longer than any run of backticks in it."""
    text = clean(text).replace("|", "\\|")
    fence = _fence(text)
    pad = " " if "`" in text or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fence(text: str, least: int = 1) -> str:
    """More backticks than stand together anywhere in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def prose(words: Line) -> str:
    """A line of prose."""
    text = ""
    for part in words:
        text += _part(part, first=not text.strip())
    return text


def _part(part: str | Code | Link, first: bool) -> str:
    """A link is its words only: a comment on GitHub has no anchors of its own."""
    if isinstance(part, Code):
        return code(part.text)
    return escaped(part.text if isinstance(part, Link) else part, first)


def markdown_report(study: Study, written: tuple[Written, ...] | None = None) -> str:
    """The report as GitHub-flavoured Markdown of at most 60,000 bytes.

    Where it would be longer, folded sections are left out, the longest first, and named. ``written``: the sections as
    written for this study, where that was done already.
    """
    sections = list(write_all(study) if written is None else written)
    texts = {section.name: or_why_not(_section, section) for section in sections}
    folded = {section.name for section in sections if section.show == "folded"}
    title = f"{study.weights.model}: does the answer depend on the batch?"
    made = f"{study.tool.name} {study.tool.version}, {study.run_id}, {study.created_utc}"
    left_out: list[Written] = []
    while len((text := _document(title, made, texts.values(), left_out)).encode()) > MAX_BYTES and folded:
        longest = max(sorted(folded), key=lambda name: len(texts[name]))
        folded.remove(longest)
        del texts[longest]
        left_out += [section for section in sections if section.name == longest]
    return text


def _document(title: str, made: str, texts: Iterable[str], left_out: Iterable[Written]) -> str:
    parts = [f"# {escaped(title)}", *texts]
    if titles := [section.title for section in left_out]:
        parts.append(f"*Only in report.html, for want of room here: {escaped('; '.join(titles))}.*")
    return "\n\n".join([*parts, f"<sub>{escaped(made)}</sub>"]) + "\n"


def _section(section: Written) -> str:
    if section.show == "folded":
        return _folded(f"<b>{_in_html(section.title)}</b>", section.blocks)
    return f"## {escaped(section.title)}\n\n{_all(section.blocks)}"


def _all(every: Iterable[Block]) -> str:
    return "\n\n".join(map(to_markdown, every))


def to_markdown(block: Block) -> str:
    """A block as Markdown."""
    match block:
        case blocks.Heading():
            return f"### {escaped(block.text)}"
        case blocks.Paragraph():
            return f"<sub>{prose(block.prose)}</sub>" if block.small else prose(block.prose)
        case blocks.Bullets():
            return "\n".join(f"- {prose(item)}" for item in block.items)
        case blocks.Listing():
            lines = [f"{' ' * indent}{clean(text)}".rstrip() for indent, text in block.lines]
            fence = _fence(block.text, 3)
            return "\n".join([fence, *lines, fence])
        case blocks.Definitions():
            return "\n".join(f"- **{escaped(term)}**: {prose(words)}" for term, words in block.items)
        case blocks.KeyFigures():
            return "\n".join(map(_key_figure, block.items))
        case blocks.Table():
            return _table(block)
        case blocks.Figure():
            said = f"{escaped(block.description)} (The picture is in report.html; its values:)"
            return f"{said}\n\n{to_markdown(block.table)}"
        case blocks.Callout():
            parts = [f"{_SIGNS[block.kind]} **{prose(block.title)}**", *map(to_markdown, block.blocks)]
            return "\n>\n".join("\n".join(f"> {row}" for row in text.split("\n")) for text in parts)
        case blocks.Details():
            return _folded(_in_html(block.summary), block.blocks)
        case blocks.Absent():
            return prose(block.why)


def _key_figure(figure: blocks.KeyFigure) -> str:
    """The label has a colon, unless it is a question."""
    asked = escaped(figure.label) + ("" if figure.label.endswith("?") else ":")
    return f"- {asked} **{escaped(figure.value, first=False)}** {prose(figure.remark)}"


def _cell(text: str | None, column: Column, chosen: bool) -> str:
    if text is None:
        return "–"
    if column.kind == "name":
        return f"**{code(text)}**" if chosen else code(text)
    if column.kind == "state":
        return f"{STATE_SIGNS.get(text, '')} {escaped(text)}".strip()
    return escaped(text)


def _table(table: blocks.Table) -> str:
    rows = [
        [escaped(column.title) for column in table.columns],
        ["---:" if column.kind == "number" else "---" for column in table.columns],
    ]
    for at, cells in enumerate(table.rows[:MAX_ROWS]):
        chosen = at == table.chosen
        rows.append([_cell(text, column, chosen) for text, column in zip(cells, table.columns, strict=True)])
    more = len(table.rows) - MAX_ROWS
    caption = escaped(table.caption) + (f" {numbers.counted(more, 'more row')} in report.html." if more > 0 else "")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + f"\n\n<sub>{caption}</sub>"


def _folded(summary: str, inside: Iterable[Block]) -> str:
    return f"<details><summary>{summary}</summary>\n\n{_all(inside)}\n\n</details>"
