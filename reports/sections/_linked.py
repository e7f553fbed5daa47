"""The numbers of a reason, each a link to where the report shows what it rests on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isobatch.pipeline.records.study import Study
from isobatch.reports import views
from isobatch.reports.blocks import Code, Line, Link
from isobatch.reports.views import Repaired

_DIGITS = r"\d(?:[\d.,]*\d)?(?:e[+-]?\d+)?"
_NUMBERS = re.compile(
    rf"(?<![\w.-])(?:N = )?-?{_DIGITS}(?:(?: to |, | and ){_DIGITS}| \({_DIGITS} to {_DIGITS}\))*"
    r"(?: (?:%|points?|ms|MB|images/s|(?:\w+ )?images?|comparisons?)(?!\w))?"
)
_PLACES = (
    ("images/s", "costs"),
    ("images a second", "costs"),
    ("latency", "costs"),
    ("artifact", "costs"),
    ("top-1 drop", "accuracy"),
)


def linked(study: Study, reason: str) -> Line:
    """The sentence with the names of variants set as code and its numbers linked to their evidence.

    Costs and accuracy have sections of their own; what a sentence says of bytes rests on the chapter of the choice.
    """
    target = next((place for words, place in _PLACES if words in reason), _chapter(study))
    return tuple(part for words in views.named(study, reason) for part in _parts(words, target))


def _chapter(study: Study) -> str:
    choice = views.choice(study)
    if choice is None:
        return "overview"
    return "repairs" if isinstance(choice, Repaired) else views.anchor(choice.name)


def _parts(words: str | Code | Link, target: str) -> Iterator[str | Code | Link]:
    if not isinstance(words, str):
        yield words
        return
    end = 0
    for found in _NUMBERS.finditer(words):
        if before := words[end : found.start()]:
            yield before
        yield Link(found[0], target)
        end = found.end()
    if words[end:]:
        yield words[end:]
