"""A user's own network as a live runner: a torch module as it stands, or an ONNX file, its bytes or its proto."""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isobatch.models.machine.out_of_memory import out_of_memory
from isobatch.models.pytorch.calls import called
from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.spec.batches import batch_of
from isobatch.models.spec.fit import NotTaken
from isobatch.models.spec.runner import WHOLE, Canonical
from isobatch.models.spec.words import RunnerSettings
from isobatch.models.user_copy import as_module, check_parameters, in_training, not_made_yet, private_copy
from isobatch.models.user_factory import keyword_of
from isobatch.models.user_graphs import GraphRunner
from isobatch.models.user_inputs import as_arguments, described, require_keywords
from isobatch.models.user_outputs import Leaves, arrays, joined, with_rows
from isobatch.models.user_whole import WholeInParts


class ModuleRunner(ExaminedTorchRunner):
    """Runs a user's module as it stands: in its own type and memory format, on the threads that torch has now.

    ``kept``: it goes on living when this runner is closed, so nothing that it makes for itself may be an inference
    tensor. Raises TypeError for a module with parameters that it has not made yet.
    """

    _places: tuple[str, ...] | None = None  # of the outputs that have rows

    def __init__(self, module: nn.Module, kept: bool = False) -> None:
        check_parameters(module)
        self._mode: Any = torch.no_grad if kept else torch.inference_mode
        parameters = [p for p in module.parameters() if p.is_floating_point()]
        channels_last = any(
            p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous()
            for p in parameters
        )
        settings = RunnerSettings(torch.get_num_threads(), "channels_last" if channels_last else "contiguous")
        kinds = [*dict.fromkeys(p.dtype for p in parameters)]
        super().__init__(lambda: module, settings, dtype=kinds[0] if len(kinds) == 1 else torch.float32)
        self._first_kind = kinds[0] if kinds else torch.float32
        if parameters:
            self._place = parameters[0].device  # images go where the user has put the module

    @property
    def threads(self) -> int:
        """How many torch has inside operators."""
        return self._settings.threads

    def fitted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The examples as they are; one input gets its name where the network takes none by position.

        Raises TypeError for names that are no keywords of a call.
        """
        require_keywords(rows)
        if not rows.dtype.names and (name := keyword_of(self._load())):
            return batch_of({name: rows})
        return rows

    def learn(self, pair: NDArray[Any]) -> None:
        """Find out, on two examples, which outputs have rows. Raises TypeError where none can be compared.

        The first call of a network that makes its caches, or its parameters, then; the latter is a TypeError too.
        """
        before = {name for name, _ in self.net.named_parameters()}
        single = self._first(pair[:1])
        two = self._tried(pair, first=True)
        if made := sorted({name for name, _ in self.net.named_parameters()} - before):
            raise TypeError(not_made_yet(made))
        self._places = with_rows(single, two)

    def _first(self, single: NDArray[Any]) -> Leaves:
        """The first call. What differentiates inside of it, or holds sparse weights, runs with autograd only; parts of
        several types are given float32, or what the first of them is.
        """
        try:
            return self._tried(single, first=True)
        except NotTaken:
            before = self._mode, self._dtype
            for mode, kind in ((torch.enable_grad, self._dtype), (self._mode, self._first_kind)):
                self._mode, self._dtype = mode, kind
                with suppress(NotTaken):
                    return self._tried(single, first=True)
            self._mode, self._dtype = before
            raise

    def leaves(self, rows: NDArray[Any]) -> Leaves:
        """The outputs with rows by their places, each [n, ...] in its own type."""
        if self._places is None:
            self.learn(np.repeat(rows[:1], 2, axis=0))
        outputs = self._tried(rows)
        return {place: outputs[place] for place in self._places or ()}

    def run(self, images: NDArray[Any]) -> NDArray[Any]:
        """All outputs as rows [n, values]: see ``joined``."""
        return joined(self.leaves(images), self._places or ())

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Self:
        """As of every torch runner; the network as a whole with all that it takes and gives."""
        whole = rules.get(WHOLE)
        return self.twin(WholeInParts(self.net, whole)) if whole else super().with_canonical(rules)

    def _called(self, rows: NDArray[Any]) -> Any:
        return called(self.net, self._input(rows))

    def _tried(self, rows: NDArray[Any], first: bool = False) -> Leaves:
        """The outputs of one call. Raises NotTaken where it fails, other than for lack of memory."""
        try:
            with self._mode():
                result = self._called(rows)
        except Exception as error:  # networks check their input with errors of any kind, of their own too
            if out_of_memory(error):
                raise
            said = " ".join(f"{type(error).__name__}: {error}".split())
            remedy = "it is in training mode: call .eval() on it" if in_training(self.net) else ""
            raise NotTaken(len(rows), described(rows), said, remedy, first) from error
        return arrays(result)

    def _rows(self, result: Any) -> NDArray[Any]:
        rows = arrays(result)
        return joined(rows, self._places or tuple(rows))

    def _input(self, images: NDArray[Any]) -> Any:
        return as_arguments(images, self._tensor)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        given = torch.from_numpy(np.ascontiguousarray(values))
        memory_format = self._format if given.dim() == 4 else torch.contiguous_format
        dtype = self._dtype if given.is_floating_point() else given.dtype
        return given.to(device=self._place, dtype=dtype, memory_format=memory_format, copy=True)

    def _prepare(self, stack: ExitStack) -> None:
        """Leave torch's threads as the user set them, and its random numbers as they were."""
        stack.enter_context(torch.random.fork_rng(devices=[]))

    def _loaded(self) -> nn.Module:
        return self._load()  # neither moved nor converted: it is the user's


def open_network(
    network: Any,
    threads: int | None = None,
    *,
    as_it_is: bool = False,
    batch_axes: Mapping[str, int] = MappingProxyType({}),
) -> Any:
    """A runner of a torch module, or of an ONNX file's path, bytes or ModelProto; nothing of it is changed.

    A module is run as a copy on the same parameters; ``as_it_is``: itself. ``batch_axes``: of an ONNX file's inputs and
    outputs whose batch is another axis than the first. Raises ValueError for an ONNX file that cannot be used,
    TypeError for parameters that are not made yet and for anything else.
    """
    network = as_module(network)
    if isinstance(network, nn.Module):
        check_parameters(network)
        return ModuleRunner(network, kept=True) if as_it_is else ModuleRunner(private_copy(network))
    if isinstance(network, onnx.ModelProto):
        network = network.SerializeToString()
    if isinstance(network, (bytes, str, Path)):
        return GraphRunner(network, threads or torch.get_num_threads(), batch_axes)
    raise TypeError(
        f"cannot open a {type(network).__name__}: give a torch module, or an ONNX file's path, bytes or ModelProto"
    )
