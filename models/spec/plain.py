"""Dataclasses and pydantic's records as plain values that JSON keeps, and back, by the types that they declare."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints


def to_plain(value: Any) -> Any:
    """The value with records and mappings as dicts, tuples as lists and paths as text; all else as it is."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: Any, data: Any) -> Any:
    """The inverse of ``to_plain`` for a value of type ``kind``; fields that are not in ``data`` have their defaults.

    Raises TypeError where one without a default is not there. (pydantic does this too, and needs 30 ms for each kind
    in each worker: its own records alone are read by it.)
    """
    if data is None or kind is Any:
        return data
    if hasattr(kind, "model_validate"):
        return kind.model_validate(data)
    if isinstance(kind, type) and is_dataclass(kind):
        types = _types(kind)
        return kind(**{name: from_plain(types[name], part) for name, part in data.items() if name in types})
    if isinstance(kind, type) and issubclass(kind, tuple):  # a NamedTuple of plain values
        return kind(*data)
    of = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        arms = [arm for arm in of if arm is not NoneType]
        fits = (arm for arm in arms if (get_origin(arm) is tuple) == isinstance(data, list))
        return from_plain(next(fits, arms[0]), data)
    if get_origin(kind) is tuple:
        return tuple(map(from_plain, of[:1] * len(data) if of[-1:] == (...,) else of, data))
    if get_origin(kind) in (dict, Mapping):
        return {of[0](name): from_plain(of[1], part) for name, part in data.items()}  # JSON has no numbers for names
    return Path(data) if kind is Path else data


def without_defaults(record: Any) -> dict[str, Any]:
    """A dataclass as plain values, without the fields that are at their defaults."""
    named = {field.name: (getattr(record, field.name), field.default) for field in fields(record)}
    return {name: to_plain(value) for name, (value, default) in named.items() if value != default}


class Plain:
    """A dataclass with a way to JSON and back."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The record in these values, of which more may be there. Raises TypeError for less."""
        record: Self = from_plain(cls, data)
        return record


@cache
def _types(kind: type) -> dict[str, Any]:
    every = get_type_hints(kind)
    return {field.name: every[field.name] for field in fields(kind)}
