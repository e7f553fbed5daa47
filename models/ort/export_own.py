"""The ONNX graph of a factory's network that takes arrays, with their batch free: what a study of it measures."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isobatch import PROGRAM
from isobatch.models.ort.as_torch import answers_of, difference
from isobatch.models.ort.export import ExportError, behind, exporter_words, traced
from isobatch.models.shared.time_limit import TimeLimit, time_limit
from isobatch.models.spec.artifact_cache import ArtifactCache
from isobatch.models.spec.words import Manifest, Network
from isobatch.models.user_factory import as_the_user_has_it
from isobatch.models.user_outputs import tensors
from isobatch.models.user_types import in_own_types, in_words, types_of
from isobatch.models.weights.model_name import read_name
from isobatch.models.weights.networks import float_network, read_torch_weights, with_state
from isobatch.models.weights.state_dicts import WeightsError

_LIMIT_S = 120.0
_TOLERANCE = 1e-3  # of the largest |output|: rounding stays far below it, a wrong graph is far off
_ROUNDINGS = 16  # of a shorter type than float32, whose rounding one runtime may do where the other does not

Arrays = Mapping[str, NDArray[Any]]


def exported_own(
    network: Network,
    arrays: Arrays,
    cache: ArtifactCache,
    say: Callable[[str], None],
    notes: Sequence[str] = (),
    made: Sequence[nn.Module] = (),
) -> Path:
    """The ONNX file of this network, made for such arrays [n, ...] by name, and checked against torch on two rows.

    One array is given by position, several by keyword; every axis but the batch stays as it is in them. A network that
    takes them only in the types of its own parts is exported in those. ``notes``: of the network, kept beside the file
    behind the reason why it is exported. ``made``: what its factory made already, if it did. Raises WeightsError where
    the network does not take the arrays, ExportError where no correct graph can be made.
    """
    name = read_name(network.model).architecture
    fields: dict[str, Any] = {
        "artifact": "onnx-export-own, with reason",
        "model": network.model,
        "weights_sha256": network.weights_sha256,
        "takes": [[key, str(array.dtype), [*array.shape[1:]]] for key, array in arrays.items()],
    } | {package: version(package) for package in ("torch", "onnx", "onnxscript", "onnxruntime")}
    file = f"{name.replace(':', '.')}.onnx"

    def built(folder: Path) -> Manifest:
        say(f"exporting {name} to ONNX for {', '.join(arrays)}")
        net = with_state(made[0], read_torch_weights(network)) if made else float_network(network)
        net = as_the_user_has_it(net)
        own = _export(name, net, arrays, folder / file, functools.partial(in_own_types, network))
        why = f"its code casts to {own}, the types of its parts" if own else "it is run on arrays"
        return Manifest({"exporter": "torch.onnx, dynamo"}, (folder / file).stat().st_size, notes=(why, *notes))

    return cache.get(fields, built).folder / file


def _export(
    name: str, net: nn.Module, arrays: Arrays, path: Path, instead: Callable[[], nn.Module | None] = lambda: None
) -> str:
    """Write the graph. The types of what is exported, in words, where that is ``instead``: as ``net`` does not run."""
    if isinstance(net, torch.jit.ScriptModule):
        raise ExportError(
            f"{name} is a TorchScript module, which torch's exporter does not take: let the factory make the Python "
            f"network that it was scripted from, or look at it as it is: {PROGRAM} check {name} --inputs FILE"
        )
    given = {key: torch.from_numpy(np.array(array[:2])) for key, array in arrays.items()}
    called = _accepted(net, given)
    own = ""
    try:
        expected = _called(name, net, called)
    except WeightsError:
        if (as_made := instead()) is None:
            raise
        net, own = as_made, in_words(as_made)
        expected = _called(name, net, called)
    look = f"{PROGRAM} check {name}{'' if own else ' --inputs FILE'}"
    free = {key: {0: torch.export.Dim("n")} for key in called}
    try:
        with time_limit(_LIMIT_S), _without_fastpath():
            outputs = [place.replace(".", "_") or "output" for place in expected]
            onnx.save(traced(_with_tensors(net), (), called, free, list(arrays), outputs), path)
        rows = {key: tensor.numpy() for key, tensor in given.items()}
        worst = difference(answers_of(path, rows), [tensor.numpy() for tensor in expected.values()])
    except (Exception, TimeLimit) as error:  # exporter and runtime raise what they like
        said = f"{type(behind(error)).__name__}: {exporter_words(error)[:160]}"
        raise ExportError(
            f"{name} {f'casts to {own}' if own else 'takes arrays'} and is studied as an ONNX file, which could not be "
            f"made of it ({said}): export it yourself and give --onnx FILE, or look at the torch network alone: {look}"
        ) from error
    coarsest = max((torch.finfo(kind).eps for kind in types_of(net)), default=0.0)
    if not worst <= max(_TOLERANCE, _ROUNDINGS * coarsest):  # nor is NaN
        raise ExportError(
            f"the ONNX graph of {name} differs from torch by {worst:.0e} of the largest output: look at the torch "
            f"network alone, {look}"
        )
    return own


@contextmanager
def _without_fastpath() -> Iterator[None]:
    """torch's attention made of plain operations: its fused kernel for inference is no ONNX operator's."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _accepted(net: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The arguments of a call by keyword: a single array is the first one of ``forward``, whatever its name."""
    if len(given) > 1:
        return dict(given)
    return {next(iter(inspect.signature(net.forward).parameters)): next(iter(given.values()))}


def _called(name: str, net: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        with torch.inference_mode():
            return tensors(net(**given))
    except Exception as error:  # networks check their input with errors of any kind
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        takes = ", ".join(inspect.signature(net.forward).parameters)
        told = ", ".join(
            f"{key} {str(tensor.dtype).removeprefix('torch.')} [{', '.join(['n', *map(str, tensor.shape[1:])])}]"
            for key, tensor in given.items()
        )
        raise WeightsError(
            f"{name} takes ({takes}) and cannot be run on {told} ({said}): give --inputs FILE.npz with an array "
            f"for each of them by name, or look at the torch network alone: {PROGRAM} check {name} --inputs FILE"
        ) from error


def _with_tensors(net: nn.Module) -> nn.Module:
    """A twin that gives the tensors of its dicts, tuples and dataclasses as one tuple."""
    kind = type(net)

    @functools.wraps(kind.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        return tuple(tensors(kind.forward(self, *args, **kwargs)).values())

    twin = copy.copy(net)
    twin.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    return twin
