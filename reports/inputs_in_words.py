"""What a study calls its examples: images where they are pictures, inputs where they are features, tokens or both."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from isobatch.pipeline.records.study import CHANNELS, InputSet, Study
from isobatch.pipeline.records.wording import of_inputs
from isobatch.reports.blocks import Code, Column, Figure, Listing, Table

T = TypeVar("T")

_PLACES = ("target", "anchor", "name")  # what links lead to


def of_pictures(study: Study) -> bool:
    """Whether every input set holds pictures, [channels, height, width] or channels last; so too without any set."""
    return all(inputs.of_pictures for inputs in study.inputs)


def picture_size(inputs: InputSet) -> str | None:
    """Height and width of its pictures in pixels: ``400 x 400``; None of inputs that are no pictures."""
    if not inputs.of_pictures:
        return None
    sides = inputs.shape[1:] if inputs.shape[0] in CHANNELS else inputs.shape[:2]
    return " x ".join(map(str, sides))


def worded(study: Study, said: T) -> T:
    """The same blocks, lines or text in the words that fit the study's examples; names and code stay as they are."""
    return said if of_pictures(study) else _worded(said)


def _worded(said: Any) -> Any:
    if isinstance(said, str):
        return of_inputs(said)
    if isinstance(said, tuple):
        return tuple(map(_worded, said))
    if isinstance(said, Table):
        return replace(
            said,
            caption=_worded(said.caption),
            columns=_worded(said.columns),
            rows=tuple(tuple(map(_cell, row, said.columns)) for row in said.rows),
        )
    if isinstance(said, Figure):
        return replace(said, **{name: _worded(getattr(said, name)) for name in ("title", "description", "table")})
    if is_dataclass(said) and not isinstance(said, (type, Code, Listing)):
        return replace(said, **{f.name: _worded(getattr(said, f.name)) for f in fields(said) if f.name not in _PLACES})
    return said


def _cell(text: str | None, column: Column) -> str | None:
    return text if text is None or column.kind == "name" else _worded(text)
