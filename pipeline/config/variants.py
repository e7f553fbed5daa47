"""Which variants a list such as ``all`` or ``fp32,ort-int8`` names."""

from collections.abc import Collection, Sequence

from isobatch.models.registry import all_variants, find_variant, how_to_add, installed
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import listed

ALL = "all"


def variants_of(text: str, onnx: bool) -> tuple[str, ...]:
    """The names; ``all``, which others may follow, of an ONNX file are those that can be made from one."""
    every = [row.name for row in _of_all(onnx) if not row.extra or installed(row)]
    asked = [name.strip() for name in text.split(",") if name.strip()]
    names = [name for word in asked for name in (every if word == ALL else [word])]
    if not names:
        raise UsageError("unknown-variant", "no variant is named: give a list such as fp32,ort-int8 (--list-variants)")
    return known(names)


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once. Raises UsageError for one that is no variant."""
    for name in names:
        try:
            find_variant(name)
        except KeyError as error:
            raise UsageError("unknown-variant", error.args[0]) from None
    return tuple(dict.fromkeys(names))


def left_out(variants: Collection[str], onnx: bool) -> list[str]:
    """Where these are what ``all`` names here: which of its extras are not installed, and what adds them; a line each.

    Nothing of a choice of the user's own.
    """
    rows = _of_all(onnx)
    if not {row.name for row in rows if not row.extra} <= set(variants):
        return []
    missing: dict[str, list[str]] = {}
    for row in rows:
        if row.extra and not installed(row):
            missing.setdefault(how_to_add(row), []).append(row.name)
    return [
        f"'all' leaves out what is not installed: {listed(names)}. To add what is missing: {how}"
        for how, names in missing.items()
    ]


def _of_all(onnx: bool) -> list[VariantSpec]:
    """What ``all`` names where every extra is installed."""
    return [row for row in all_variants() if not row.optional and (not onnx or row.runtime != "torch")]
