"""A user's network by the name of what makes it: ``package.module:factory``."""

from __future__ import annotations

import copy
import importlib
import sys
from typing import Any

import torch
from torch import nn


class FactoryError(Exception):
    """The name leads to no network. The message says why and what to do."""


def made(name: str, folder: str) -> nn.Module:
    """What ``package.module:factory`` gives: a function without arguments that returns a torch module, or a module.

    ``folder``: where the user's packages lie; it stays on the path, so call this in a process of its own. Raises
    FactoryError.
    """
    sys.path.insert(0, folder)
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise FactoryError(f"{module} was imported and has no {attribute!r} ({error}): name what makes it") from error
    except Exception as error:  # a user's module may raise anything
        hint = f": is {folder} the folder to start in?" if isinstance(error, ModuleNotFoundError) else ""
        raise FactoryError(f"{module} cannot be imported ({type(error).__name__}: {error}){hint}") from error
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise FactoryError(f"{name} is a {type(found).__name__}: a function that returns a torch module is needed")
        try:
            found = found()
        except Exception as error:
            raise FactoryError(f"{name}() raised {type(error).__name__}: {error}") from error
    if not isinstance(found, nn.Module):
        raise FactoryError(f"{name}() gave a {type(found).__name__}: a torch module is needed")
    return found


def in_precision(module: nn.Module, precision: str) -> nn.Module:
    """A copy with its floating-point parameters and buffers in ``fp16`` or ``bf16``."""
    return copy.deepcopy(module).to({"fp16": torch.float16, "bf16": torch.bfloat16}[precision])
