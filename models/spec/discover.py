"""Plug-ins: one typed object a module, found by looking into a folder. None is known by name anywhere."""

import importlib
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, kind: type[T]) -> dict[str, T]:
    """The ``kind`` that each module of this package holds, by the module's name, in the order of the names.

    A module whose name begins with ``_`` is a helper. Raises TypeError naming a module that holds none, or several.
    """
    home = importlib.import_module(package)
    plugins = {}
    for _, name, _ in sorted(pkgutil.iter_modules(home.__path__), key=lambda module: module.name):
        if name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{name}")
        held = [value for value in vars(module).values() if isinstance(value, kind)]
        if len(held) != 1:
            raise TypeError(
                f"{module.__name__} holds {len(held)} objects of type {kind.__name__}: a plug-in holds one, and the "
                "name of a helper begins with _"
            )
        plugins[name] = held[0]
    return plugins
