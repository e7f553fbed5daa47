"""``report.md``: fits a pull request's comment; long sections are folded, and what does not fit is counted."""

import re
from collections.abc import Iterable
from functools import singledispatch

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
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _ACTIVE.sub(r"\\\g<0>", text)
    text = _ACTIVE_FIRST.sub(r"\1\\\2", text) if first else text
    return text.replace("://", ":\u200b//").replace("@", "@\u200b").replace("www.", "www\u200b.")


def code(text: str) -> str:
    """Text as code: within it nothing is markup; its fence is longer than any run of backticks in it."""
    text = clean(text).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"


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


def document(title: str, made: str, sections: Iterable[Written]) -> str:
    """Sections as one Markdown document; ``made``: by what, when."""
    return _document(title, made, map(_section, sections), ())


def _document(title: str, made: str, texts: Iterable[str], left_out: Iterable[Written]) -> str:
    parts = [f"# {escaped(title)}", *texts]
    if titles := [section.title for section in left_out]:
        parts.append(f"*Only in report.html, for want of room here: {escaped('; '.join(titles))}.*")
    return "\n\n".join([*parts, f"<sub>{escaped(made)}</sub>"]) + "\n"


def _section(section: Written) -> str:
    body = _all(section.blocks)
    if section.show == "folded":
        return f"<details><summary><b>{escaped(section.title)}</b></summary>\n\n{body}\n\n</details>"
    return f"## {escaped(section.title)}\n\n{body}"


def _all(every: Iterable[Block]) -> str:
    return "\n\n".join(map(to_markdown, every))


@singledispatch
def to_markdown(block: Block) -> str:
    """A block as Markdown."""
    raise TypeError(f"no Markdown form for {type(block).__name__}")


@to_markdown.register
def _(block: blocks.Heading) -> str:
    return f"### {escaped(block.text)}"


@to_markdown.register
def _(block: blocks.Paragraph) -> str:
    return f"<sub>{prose(block.prose)}</sub>" if block.small else prose(block.prose)


@to_markdown.register
def _(block: blocks.Bullets) -> str:
    return "\n".join(f"- {prose(item)}" for item in block.items)


@to_markdown.register
def _(block: blocks.Listing) -> str:
    lines = [f"{' ' * indent}{clean(text)}".rstrip() for indent, text in block.lines]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
    return "\n".join([fence, *lines, fence])


@to_markdown.register
def _(block: blocks.Definitions) -> str:
    return "\n".join(f"- **{escaped(term)}**: {prose(words)}" for term, words in block.items)


@to_markdown.register
def _(block: blocks.KeyFigures) -> str:
    return "\n".join(f"- {_asked(f.label)} **{escaped(f.value, first=False)}** {prose(f.remark)}" for f in block.items)


def _asked(label: str) -> str:
    """The label with a colon, unless it is a question."""
    return escaped(label) if label.endswith("?") else f"{escaped(label)}:"


def _cell(text: str | None, column: Column, chosen: bool) -> str:
    if text is None:
        return "–"
    if column.kind == "name":
        return f"**{code(text)}**" if chosen else code(text)
    if column.kind == "state":
        return f"{STATE_SIGNS.get(text, '')} {escaped(text)}".strip()
    return escaped(text)


@to_markdown.register
def _(block: blocks.Table) -> str:
    def row(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    lines = [
        row(escaped(column.title) for column in block.columns),
        row("---:" if column.kind == "number" else "---" for column in block.columns),
    ]
    for at, cells in enumerate(block.rows[:MAX_ROWS]):
        chosen = at == block.chosen
        lines.append(row(_cell(text, column, chosen) for text, column in zip(cells, block.columns, strict=True)))
    more = len(block.rows) - MAX_ROWS
    caption = escaped(block.caption)
    if more > 0:
        caption += f" {numbers.counted(more, 'more row')} in report.html."
    return "\n".join(lines) + f"\n\n<sub>{caption}</sub>"


@to_markdown.register
def _(block: blocks.Figure) -> str:
    return f"{escaped(block.description)} (The picture is in report.html; its values:)\n\n{to_markdown(block.table)}"


@to_markdown.register
def _(block: blocks.Callout) -> str:
    lines = [f"{_SIGNS[block.kind]} **{prose(block.title)}**", *map(to_markdown, block.blocks)]
    return "\n>\n".join("\n".join(f"> {row}" for row in text.split("\n")) for text in lines)


@to_markdown.register
def _(block: blocks.Details) -> str:
    return f"<details><summary>{escaped(block.summary)}</summary>\n\n{_all(block.blocks)}\n\n</details>"


@to_markdown.register
def _(block: blocks.Absent) -> str:
    return prose(block.why)
