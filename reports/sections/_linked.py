"""The numbers of a reason, each a link to where the report shows what it rests on."""

import re
from collections.abc import Iterator

from isobatch.pipeline.records.study import Study
from isobatch.reports import views
from isobatch.reports.blocks import Code, Line, Link

_DIGITS = r"\d(?:[\d.,]*\d)?(?:e[+-]?\d+)?"
_NUMBERS = re.compile(
    rf"((?<![\w.-])(?:N = )?-?{_DIGITS}(?:(?: to |, | and ){_DIGITS}| \({_DIGITS} to {_DIGITS}\))*"
    r"(?: (?:%|points?|ms|MB|img/s|(?:\w+ )?images?|comparisons?)(?!\w))?)"
)


def linked(study: Study, reason: str, target: str) -> Line:
    """The sentence with the names of variants set as code and its numbers linked to the section of their evidence."""
    return tuple(part for words in views.named(study, reason) for part in _parts(words, target))


def chapter(study: Study) -> str:
    """Where the evidence of the choice's bytes is."""
    choice = views.choice(study)
    if choice is None:
        return "overview"
    return "repairs" if views.is_repaired(choice) else views.anchor(choice.name)


def _parts(words: str | Code | Link, target: str) -> Iterator[str | Code | Link]:
    if not isinstance(words, str):
        yield words
        return
    for at, part in enumerate(_NUMBERS.split(words)):  # every other part is a number
        if part:
            yield Link(part, target) if at % 2 else part
