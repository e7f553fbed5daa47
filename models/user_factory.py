"""A user's network by the name of what makes it: ``package.module:factory``."""

import copy
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isobatch.models.user_copy import as_module
from isobatch.models.user_outputs import tensors

_NOT_THE_USERS = ("torch", "torchvision", "isobatch")
_BEFORE = "class_of_the_users"
_NO_EXIT = "it would end the program; keep what parses a command line under if __name__ == '__main__'"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class FactoryError(Exception):
    """The name leads to no network. The message says why and what to do."""


def made(name: str, folder: str) -> nn.Module:
    """What ``package.module:factory`` gives: a function without arguments that returns a torch module, or a module.

    ``folder``: where the user's packages lie, on the path for this call only. torch's seed is 0 meanwhile, so that a
    network of drawn values is the same each time. Raises FactoryError.
    """
    with _on_path(folder), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _made(name, folder)


def _made(name: str, folder: str) -> nn.Module:
    module, _, attribute = name.partition(":")
    try:
        target: Any = importlib.import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
    except AttributeError as error:
        raise FactoryError(f"{module} was imported and has no {attribute!r} ({error}): name what makes it") from error
    except SystemExit as error:
        raise FactoryError(f"{module} calls sys.exit({error.code!r}) while it is imported: {_NO_EXIT}") from error
    except Exception as error:  # a user's module may raise anything
        hint = f": is {folder} the folder to start in?" if isinstance(error, ModuleNotFoundError) else ""
        raise FactoryError(f"{module} cannot be imported ({type(error).__name__}: {error}){hint}") from error
    target = as_module(target)
    if not isinstance(target, nn.Module):
        if not callable(target):
            raise FactoryError(f"{name} is a {type(target).__name__}: a function that returns a torch module is needed")
        try:
            target = target()
        except SystemExit as error:
            raise FactoryError(f"{name}() calls sys.exit({error.code!r}): {_NO_EXIT}") from error
        except Exception as error:
            raise FactoryError(
                f"{name}() raised {type(error).__name__}: {error}; it is called without arguments and must return a "
                "torch module"
            ) from error
    target = as_module(target)
    if not isinstance(target, nn.Module):
        raise FactoryError(
            f"{name}() gave {type(target).__name__}, no torch module: a function without arguments that returns one is "
            "needed"
        )
    return target


@contextmanager
def _on_path(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def code_of(net: nn.Module, name: str, folder: str) -> str:
    """The first 8 hex digits of the SHA-256 of what makes and runs this network.

    That is how it prints itself, and the source files, by module name, of its classes and of all that was imported
    from the user's folder.
    """
    theirs = {kind.__module__ for module in net.modules() for kind in type(module).__mro__} | {name.partition(":")[0]}
    below = Path(folder).resolve()
    digest = hashlib.sha256(_ADDRESS.sub("", repr(net)).encode())
    for called, module in sorted(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if not source or called.partition(".")[0] in (*_NOT_THE_USERS, "__main__", "__mp_main__"):
            continue
        file = Path(source).resolve()
        inside = file.is_relative_to(below) and "site-packages" not in file.parts
        if file.is_file() and (called in theirs or inside):
            digest.update(f"{called}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def uncompiled(net: nn.Module) -> nn.Module:
    """The module inside what torch.compile gives, which has its names, its parts likewise; any other as it is."""
    inside = getattr(net, "_orig_mod", None) if type(net).__name__ == "OptimizedModule" else None
    net = inside if isinstance(inside, nn.Module) else net
    net._compiled_call_impl = None  # what ``net.compile()`` leaves
    for name, part in net.named_children():
        if (own := uncompiled(part)) is not part:
            setattr(net, name, own)
    return net


def with_one_output(net: nn.Module) -> nn.Module:
    """The same module, whose tensors in dicts, tuples or dataclasses come side by side as one [n, values].

    Its names and parameters stay what they are. A TorchScript module, whose class cannot be another, stays as it is.
    """
    if not isinstance(net, torch.jit.ScriptModule):
        kind = type(net)
        net.__class__ = _WITH_ONE_OUTPUT.setdefault(kind, _with_one_output(kind, keyword_of(net)))
    return net


_WITH_ONE_OUTPUT: dict[type[nn.Module], type[nn.Module]] = {}  # one class for each: types are compared


def _with_one_output(kind: type[nn.Module], keyword: str) -> type[nn.Module]:
    def forward(self: nn.Module, images: Tensor) -> Tensor:
        return _side_by_side(kind.forward(self, **{keyword: images}) if keyword else kind.forward(self, images))

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__, _BEFORE: kind})


def as_the_user_has_it(net: nn.Module) -> nn.Module:
    """The inverse of ``with_one_output``: the module gives what the user's own ``forward`` gives."""
    if before := getattr(type(net), _BEFORE, None):
        net.__class__ = before
    return net


def _side_by_side(result: Any) -> Tensor:
    values = [as_numbers(part) for part in tensors(result).values()]
    if isinstance(result, Tensor) and values[0].dim() == 2:
        return values[0]
    parts = [part.unsqueeze(1) if part.dim() == 1 else part.flatten(1) for part in values]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def as_numbers(values: Tensor) -> Tensor:
    """The same values as a study compares them: complex ones as their two parts, truth values as 0 and 1."""
    if values.is_complex():
        return torch.view_as_real(values.resolve_conj())
    return values.to(torch.uint8) if values.dtype == torch.bool else values


def keyword_of(module: nn.Module) -> str:
    """The name of its first argument where it takes none by position; else empty."""
    try:
        takes = [*inspect.signature(module.forward).parameters.values()]
    except (TypeError, ValueError):  # of a program
        return ""
    by_name = [argument.name for argument in takes if argument.kind is argument.KEYWORD_ONLY]
    others = [argument for argument in takes if argument.kind not in (argument.KEYWORD_ONLY, argument.VAR_KEYWORD)]
    return "" if others or not by_name else by_name[0]


def channels_of(module: nn.Module) -> int | None:
    """How many channels its first convolution of pictures takes; None where it has none."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    return first.in_channels if first is not None else None


def in_precision(module: nn.Module, precision: str) -> nn.Module:
    """A copy with its floating-point parameters and buffers in ``fp16`` or ``bf16``."""
    return copy.deepcopy(module).to({"fp16": torch.float16, "bf16": torch.bfloat16}[precision])
