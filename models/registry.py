"""All variants, in table order: found by looking into ``models/variants``, without importing a runtime."""

import contextlib
import importlib
from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any

from isobatch.models.machine.cpp_compiler import REMEDY, compiler
from isobatch.models.shared.extras import to_add
from isobatch.models.spec.discover import discover
from isobatch.models.spec.nearest import did_you_mean
from isobatch.models.spec.words import Family, VariantSpec


@cache
def all_variants() -> tuple[VariantSpec, ...]:
    """Every variant, in table order: the rows of each ``Family`` in ``models.variants``, by its ``order``."""
    families = discover("isobatch.models.variants", Family).values()
    rows = tuple(row for family in sorted(families, key=lambda family: family.order) for row in family.rows)
    if len({row.name for row in rows}) != len(rows):
        raise ValueError("two variants share one name: every row in models/variants needs its own")
    return rows


def find_variant(name: str) -> VariantSpec:
    """The variant of that name. Raises KeyError naming the nearest known one."""
    rows = {row.name: row for row in all_variants()}
    if name in rows:
        return rows[name]
    raise KeyError(f"unknown variant {name!r}: {did_you_mean(name, rows)} Known: {', '.join(rows)}")


def installed(spec: VariantSpec) -> bool:
    """Whether what this variant requires is there: distributions, of whichever version, and a compiler; no import."""
    if spec.compiled and compiler() is None:
        return False
    return set(versions(spec)) == {required.partition("==")[0] for required in spec.requires}


def how_to_add(spec: VariantSpec) -> str:
    """The command that adds what a variant of an extra requires and this machine lacks."""
    return REMEDY if spec.compiled and compiler() is None else to_add(spec.extra)


def versions(spec: VariantSpec) -> dict[str, str]:
    """The installed version of each distribution that this variant requires; those that are missing are left out."""
    there = {}
    for required in spec.requires:
        name = required.partition("==")[0]
        with contextlib.suppress(metadata.PackageNotFoundError):
            there[name] = metadata.version(name)
    return there


def load(dotted: str) -> Callable[..., Any]:
    """The function or class behind ``package.module:function``."""
    module, _, function = dotted.partition(":")
    called: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return called
