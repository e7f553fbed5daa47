"""torch.compile on the CPU: the float network as code that Inductor writes and a C++ compiler builds.

The only place of the project that wakes torch's compiler; it does so in the worker that opens such a variant.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from isobatch.models.machine.cpp_compiler import lacking, version
from isobatch.models.pytorch import float as torch_float
from isobatch.models.pytorch.kernels import lacks_arithmetic
from isobatch.models.pytorch.runner import NAMES, TorchRunner, torch_threads
from isobatch.models.pytorch.switches import COMPILE_DYNAMIC
from isobatch.models.shared.wrapped import Streamed
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.runner import WHOLE, Canonical
from isobatch.models.spec.templates.network_compiled import Compiled, NoSuchGraph
from isobatch.models.spec.words import (
    Artifact,
    Effective,
    GraphMade,
    Json,
    Manifest,
    RunnerSettings,
    VariantSpec,
    VariantUnavailable,
)

_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def build(spec: VariantSpec, request: BuildRequest, folder: Path) -> Manifest:
    """The weights, as those of the eager variant of this type are stored; what is compiled is not kept.

    Raises VariantUnavailable without a C++ compiler, where this processor lacks the type's arithmetic, and where the
    network is an ONNX file.
    """
    _check(getattr(torch, spec.recipe["computed_in"]))
    return torch_float.build(spec, request, folder)


def open_runner(artifact: Artifact, settings: RunnerSettings) -> CompiledTorchRunner:
    """A runner that compiles at the first call. Raises VariantUnavailable as ``build`` does."""
    recipe, folder = artifact.manifest.recipe, artifact.folder
    runner = compiling_runner(partial(torch_float.load_network, folder), recipe, settings)
    runner.ship(folder / torch_float.WEIGHTS_FILE, folder / torch_float.NETWORK_FILE)
    return runner


def compiling_runner(
    load: Callable[[], nn.Module], recipe: Mapping[str, Json], settings: RunnerSettings
) -> CompiledTorchRunner:
    """A runner of what ``load`` makes, compiled as a variant's recipe says. Raises VariantUnavailable as ``build``."""
    dtype = getattr(torch, str(recipe["computed_in"]))
    _check(dtype)
    return CompiledTorchRunner(load, settings, dtype, recipe.get("memory_format"))


def _check(dtype: torch.dtype) -> None:
    if missing := lacking():
        raise VariantUnavailable(*missing)
    if dtype != torch.float32 and lacks_arithmetic(dtype):
        name = NAMES[dtype]
        raise VariantUnavailable(
            f"this processor has no {name} arithmetic, and code that emulates it is not worth compiling",
            f"use a processor with {name} arithmetic; compile-fp32 runs here",
        )


class CompiledTorchRunner(TorchRunner):
    """Runs the network as ``Compiled`` makes it. Its graphs are not taken apart: that would change what is fused."""

    def _prepare(self, stack: ExitStack) -> None:
        super()._prepare(stack)
        stack.enter_context(_private_cache())

    def _loaded(self) -> nn.Module:
        return Compiled(super()._loaded(), dynamic=COMPILE_DYNAMIC.get())

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """As every torch runner; the graph that this number and size of images needs is compiled where it is not.

        Raises VariantUnavailable where one graph was asked for that takes a single image and more, and there is none.
        """
        with torch_threads(self._settings.threads):  # a twin on other threads may be open, and the code has its own
            try:
                return super().run(images)
            except NoSuchGraph as error:
                raise VariantUnavailable(str(error), "pad a single image to two") from error

    def compile_for(self, images: NDArray[np.float32]) -> None:
        """Compile what images of this size need, alone and in batches, so that no later call pays for it."""
        for count in (1, 2):
            self.run(np.repeat(images[:1], count, axis=0))

    def with_one_graph(self) -> Self:
        """A live runner of the same network in whose code the number of images is unknown, one included."""
        twin = self.twin(Compiled(self.compiled.inner, one_graph=True))
        twin.change = {**self.change, "one_graph": True}
        return twin

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Self:
        """The whole network in one shape, compiled as here. Raises KeyError for a layer."""
        if set(rules) != {WHOLE}:
            raise KeyError(f"no layer {min(rules)!r}: a compiled graph is rewritten as a whole only")
        return self.in_one_shape(self.compiled, rules[WHOLE])

    def with_threads(self, threads: int, streams: int = 1) -> Streamed:
        """A network compiled for so many threads, running several images at a time where asked."""
        settings = replace(self._settings, threads=threads)
        twin = CompiledTorchRunner(self._load, settings, self._dtype, self._format_name)
        twin.files = self.files
        return Streamed(twin, streams, twin)

    def write(self, folder: Path) -> dict[str, Json]:
        """The weights; the loader compiles them where it is run. Raises VariantUnavailable as every torch runner."""
        return {**super().write(folder), "compiled": True}

    def effective(self) -> Effective:
        """As every torch runner; who compiled, and every graph that was compiled so far."""
        graphs = tuple(GraphMade(**asdict(graph)) for graph in self.compiled.graphs)
        facts = super().effective()
        note = "; ".join(part for part in (facts.note, version() and f"compiled by {version()}") if part)
        return replace(facts, provider="Inductor: oneDNN and C++", note=note, graphs=graphs)

    def why_closed(self) -> str:
        """What fusing did, and how the graphs for one image and for more differ in what they call."""
        why = "Inductor fuses layers into code of its own, which cannot be taken apart without changing what is fused"
        graphs = list({graph.images: graph for graph in self.compiled.graphs}.values())
        if len(graphs) < 2:
            return why
        names = sorted({name for graph in graphs for name in graph.operations})
        counts = {name: [graph.operations.get(name, 0) for graph in graphs] for name in names}
        other = [f"{name} {'/'.join(map(str, many))} times" for name, many in counts.items() if len(set(many)) > 1]
        called = f"which call {', '.join(other)}" if other else "which call the same operations"
        return f"{why}; N = {' / '.join(graph.images for graph in graphs)} run in graphs of their own, {called}"

    def in_effect(self) -> dict[str, str]:
        """What Inductor's switches are set to, by its own word."""
        import torch._inductor.config as inductor

        flags = {
            "Inductor batch_invariant": inductor.batch_invariant,
            "Inductor deterministic": inductor.deterministic,
            "compiled with free sizes": self.compiled.dynamic,
        }
        return {name: "on" if value else "off" for name, value in flags.items()}

    @property
    def compiled(self) -> Compiled:
        """The live compiled network. Raises RuntimeError outside of enter and exit."""
        net: Any = self.net
        network: Compiled = net if isinstance(net, Compiled) else net.inner
        return network


@contextmanager
def _private_cache() -> Iterator[None]:
    """Inductor keeps its code below the temporary folder, which a worker has for itself and which goes with it.

    Raises VariantUnavailable where somebody else has a folder of that name there: code from it would be run.
    """
    folder = Path(tempfile.gettempdir()) / f"inductor-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o022:
        raise VariantUnavailable(f"{folder} is not a folder of this user alone", "remove it, or set TMPDIR")
    before = os.environ.get(_CACHE)
    os.environ[_CACHE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(_CACHE)
        if before is not None:
            os.environ[_CACHE] = before
