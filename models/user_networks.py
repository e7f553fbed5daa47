"""A user's own network as a live runner: a torch module as it stands, or an ONNX file, its bytes or its proto."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isobatch.models.ort.check_user_file import check_onnx
from isobatch.models.ort.runner import OrtRunner
from isobatch.models.ort.session import MODEL_FILE
from isobatch.models.pytorch.canonical import RewritableTorchRunner
from isobatch.models.pytorch.runner import to_numpy
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings


class ModuleRunner(RewritableTorchRunner):
    """Runs a user's module as it stands: in its own type and memory format, on the threads that torch has now."""

    def __init__(self, module: nn.Module) -> None:
        if module.training:
            raise ValueError("the network is in training mode, where its outputs depend on the batch: call .eval()")
        parameters = [p for p in module.parameters() if p.is_floating_point()]
        channels_last = any(
            p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous()
            for p in parameters
        )
        settings = RunnerSettings(torch.get_num_threads(), "channels_last" if channels_last else "contiguous")
        super().__init__(lambda: module, settings, dtype=parameters[0].dtype if parameters else torch.float32)
        if parameters:
            self._place = parameters[0].device  # images go where the user has put the module

    @property
    def threads(self) -> int:
        """How many torch has inside operators."""
        return self._settings.threads

    def _prepare(self, stack: ExitStack) -> None:
        """Leave torch's threads as the user set them."""

    def _loaded(self) -> nn.Module:
        return self._load()  # neither moved nor converted: it is the user's


def open_network(network: Any, threads: int | None = None) -> Runner:
    """A runner of a torch module, or of an ONNX file's path, bytes or ModelProto; nothing of it is changed.

    Raises ValueError for a module in training mode or an ONNX file that is no classifier, TypeError for anything else.
    """
    if isinstance(network, nn.Module):
        return ModuleRunner(network)
    if isinstance(network, onnx.ModelProto):
        network = network.SerializeToString()
    if isinstance(network, (bytes, str, Path)):
        return GraphRunner(network, threads or torch.get_num_threads())
    raise TypeError(
        f"cannot open a {type(network).__name__}: give a torch module, or an ONNX file's path, bytes or ModelProto"
    )


class GraphRunner(OrtRunner):
    """Runs a user's ONNX graph from a checked copy of its own, which is removed when this runner goes."""

    def __init__(self, source: bytes | str | Path, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="isobatch-")
        folder = Path(self._folder.name)
        path = Path(source) if not isinstance(source, bytes) else folder / "given.onnx"
        try:
            if isinstance(source, bytes):
                path.write_bytes(source)
            onnx.save_model(check_onnx(path).model, folder / MODEL_FILE)
        except BaseException:
            self._folder.cleanup()
            raise
        super().__init__(Artifact("", folder, Manifest({}, 0)), RunnerSettings(threads))
        self.threads = threads

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._folder.cleanup()


def network_of(runner: Any) -> Any:
    """What a user gets back of a repaired runner: the torch module, or the ONNX ModelProto."""
    return runner.model if hasattr(runner, "model") else runner.net.eval()


def as_images(images: Any) -> NDArray[np.float32]:
    """Float32 images [n, c, h, w] from an array or a tensor. Raises ValueError for another shape, or fewer than two."""
    if isinstance(images, Tensor):
        images = to_numpy(images.detach().float())
    found = np.ascontiguousarray(images, np.float32)
    if found.ndim != 4 or len(found) < 2:
        raise ValueError(
            f"example images of shape {list(found.shape)}: give at least two, [n, channels, height, width]"
        )
    return found
