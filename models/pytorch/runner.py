"""A live torch network: threads, types and memory formats set at the door and put back on leaving."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from isobatch.models.pytorch.calls import called
from isobatch.models.pytorch.device.devices import Device, device_of
from isobatch.models.pytorch.kernels import convolution_provider, lacks_arithmetic, rounding_error
from isobatch.models.pytorch.tensors import to_numpy
from isobatch.models.shared.wrapped import Streamed
from isobatch.models.spec.deployed import REPAIR_FILE
from isobatch.models.spec.runner import Canonical
from isobatch.models.spec.templates.network_canonical import InCanonicalShape
from isobatch.models.spec.templates.network_torch import FORMATS
from isobatch.models.spec.words import Effective, Json, RunnerSettings, VariantUnavailable
from isobatch.models.weights.model_name import own_code
from isobatch.models.weights.networks import weight_layers

NAMES = {torch.float64: "fp64", torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
_ROUNDED_ONCE = 0.75  # units in the last place: one rounding costs 0.5, sums kept in the type itself cost several


class TorchRunner:
    """Runs the network that ``load`` gives, in eval mode. One at a time in a process, whose threads it sets.

    ``memory_format``: the recipe's, which wins over the condition's. ``device``: None for the one in the settings.
    Raises VariantUnavailable where that is not to be had.
    """

    _instead: nn.Module | None = None  # of a twin: what it runs in the place of what is loaded

    def __init__(
        self,
        load: Callable[[], nn.Module],
        settings: RunnerSettings,
        dtype: torch.dtype = torch.float32,
        memory_format: str | None = None,
        device: Device | None = None,
    ) -> None:
        self._device = device or device_of(settings.device)
        self._place = self._device.place
        self._load = load
        self._settings = settings
        self._dtype = dtype
        self._format_name = memory_format or settings.memory_format
        self._format = FORMATS[self._format_name]
        self._net: nn.Module | None = None
        self._stack = ExitStack()
        self.files: tuple[Path, ...] = ()  # of the artifact, from which a deployment makes this network again
        self.change: Json = {}  # what a repair changed of it, as repair.json of a deployment has it
        self.unwritten = "its code is the user's own"  # why there is no deployment, where there are no files

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._prepare(stack)
            self._net = self._loaded() if self._instead is None else self._instead
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._net = None
        self._stack.close()

    def _loaded(self) -> nn.Module:
        """The network that ``load`` gives, anew, in the type, format and place it is run in."""
        net = self._load().to(self._place, self._dtype)
        loaded: nn.Module = net.to(memory_format=self._format)  # type: ignore[call-overload]  # missing in torch's stubs
        return loaded

    def _prepare(self, stack: ExitStack) -> None:
        """Enter what must hold while the network is loaded and run."""
        stack.enter_context(torch_threads(self._settings.threads))

    def ship(self, weights: Path, about: Path) -> None:
        """Let a deployment be made from these files, the second of which names the network: not where its code is else.

        Of torchvision's networks the code is at hand wherever a deployment runs.
        """
        if code := own_code(json.loads(about.read_text())["model"]):
            self.unwritten = f"its code is {code}"
        else:
            self.files = weights, about

    @property
    def net(self) -> nn.Module:
        """The live network. Raises RuntimeError outside of enter and exit."""
        if self._net is None:
            raise RuntimeError("this runner is not open: use it in a with statement")
        return self._net

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """Logits [n, classes] of images [n, c, h, w], in the network's output type."""
        net = self.net
        with torch.inference_mode():
            return self._rows(called(net, self._input(images)))

    def twin(self, net: nn.Module) -> Self:
        """A live runner of another network with the settings of this one, inside this one's with block."""
        twin = copy.copy(self)
        twin._net = twin._instead = net
        twin._stack = ExitStack()
        return twin

    def in_one_shape(self, net: nn.Module, rule: Canonical) -> Self:
        """A twin that runs ``net``, the whole network, in calls of one size."""
        twin = self.twin(InCanonicalShape(net, rule.size, rule.up_to, rule.least))
        twin.change = {**self.change, "whole": asdict(rule)}
        return twin

    def with_threads(self, threads: int, streams: int = 1) -> Streamed:
        """This very network with so many threads while the other runner is open; see ``Streamed``."""
        return Streamed(self, streams, torch_threads(threads))

    def write(self, folder: Path) -> dict[str, Json]:
        """Copy the artifact's files as they are, and what a repair changes beside them. Raises VariantUnavailable."""
        if not self.files:
            raise VariantUnavailable(f"no deployment can be written: {self.unwritten}", "serve it from Python")
        for file in self.files:
            shutil.copyfile(file, folder / file.name)
        if self.change:
            (folder / REPAIR_FILE).write_text(json.dumps(self.change, indent=1, sort_keys=True))
        kind = str(self._dtype).removeprefix("torch.")
        return {"type": kind, "memory_format": self._format_name, "engine": torch.backends.quantized.engine}

    def effective(self) -> Effective:
        """Types of the parameters really there, who computes the convolutions, and how a reduced type is summed."""
        layers = weight_layers(self.net)
        kinds = {parameter.dtype for parameter in self.net.parameters()}
        precision = "+".join(sorted(NAMES.get(kind, str(kind)) for kind in kinds))
        provider = convolution_provider(self._dtype, self._format)
        return Effective(precision, provider, 0, layers, self._note())

    def _note(self) -> str:
        notes = []
        if self._format_name != self._settings.memory_format:
            notes.append(f"runs in {self._format_name} memory format by its recipe")
        if self._dtype in (torch.float16, torch.bfloat16):
            name = NAMES[self._dtype]
            if lacks_arithmetic(self._dtype):
                notes.append(f"this CPU has no {name} arithmetic, so the kernels convert to another type and back")
            error = rounding_error(self._dtype, self._format)
            width = f"wider than {name} and rounded once" if error < _ROUNDED_ONCE else f"in {name} itself"
            notes.append(f"sums are kept {width} (largest error of a test convolution: {error:.2f} ULP)")
        return "; ".join(notes)

    def _rows(self, result: Any) -> NDArray[Any]:
        """What the network gave, as rows."""
        return to_numpy(result)

    def _input(self, images: NDArray[np.float32]) -> Any:
        # copied into memory that torch aligned: where numpy's array lies must not decide which kernel runs
        given = torch.from_numpy(images)
        return given.to(device=self._place, dtype=self._dtype, memory_format=self._format, copy=True)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """This many threads inside operators and one between them; the former is put back on leaving."""
    before = torch.get_num_threads()
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)  # only once in a process
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
