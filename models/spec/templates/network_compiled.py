"""A part of every shipped network.py: the network compiled by torch's Inductor, which is loaded where it is used."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# -- from here on: part of every script --

DYNAMO = {"automatic_dynamic_shapes": False, "recompile_limit": 64, "fail_on_recompile_limit_hit": True}
INDUCTOR = {"freezing": True, "compile_threads": 1}
LARGEST = 1 << 32  # no batch is
CALLED = re.compile(r"(?:= |^ +)(?:(cpp_fused)_\w+|extern_kernels\.(\w+)|torch\.ops\.([\w.]+?)(?:\.default)?)\(")


@dataclass(frozen=True)
class Graph:
    """One graph that was compiled."""

    images: str  # how many it takes, as ``1``, ``2 to 15``, ``16 or more`` or ``any``
    size: tuple[int, ...]  # height and width of each
    seconds: float
    # The libraries' operations that it calls, by name, and under ``C++`` the kernels written for it.
    operations: dict[str, int]


class NoSuchGraph(RuntimeError):
    """A single image needs code of its own in this network, whatever the compiler is asked."""


class Compiled(nn.Module):
    """Runs ``inner`` compiled, its weights frozen into the code: one graph for a single image, others for more.

    Where larger batches need a graph of their own, torch decides (of convolutions, at 16 images). Each size of image
    has graphs of its own, made at the first call that needs them, whatever was called before. ``one_graph``: how many
    images there are stays unknown to the compiler, so that a single one runs in a graph of more; ``forward`` raises
    NoSuchGraph where that cannot be. ``dynamic``: as ``torch.compile`` takes it.
    """

    def __init__(self, inner: nn.Module, one_graph: bool = False, dynamic: bool | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.training = inner.training
        self.one_graph = one_graph
        self.dynamic = dynamic
        self.graphs: list[Graph] = []
        self._ready: set[tuple[int, ...]] = set()  # kinds and shapes of tensors whose graph is made
        self._making: tuple[int, ...] | None = None  # height and width of what a graph is made for now
        self._run: Callable[[Tensor], Tensor] | None = None
        self._lock = threading.Lock()

    def forward(self, images: Tensor) -> Tensor:
        """The outputs [n, ...] of images [n, channels, height, width]; seconds to minutes more at a first call."""
        if torch.is_inference_mode_enabled() and not images.is_inference():
            images = images.clone()  # what pads a call makes inference tensors: other code takes them
        shape = (int(images.is_inference()), *images.shape)
        if shape not in self._ready:
            with self._lock:
                if shape not in self._ready:
                    self._make(images)
                    self._ready.add(shape)
        assert self._run is not None
        return self._run(images)

    def _make(self, images: Tensor) -> None:
        """Run a call of this shape once, and so compile the graph that it needs where it is not there."""
        import torch._dynamo
        import torch._inductor.config
        import torch.fx.experimental._config

        if self._run is None:
            self._run = torch.compile(self.inner, backend=self._backend, fullgraph=True, dynamic=self.dynamic)
        single, size = len(images) == 1, tuple(images.shape[2:])
        # Of one image torch makes a graph for one image, unless it is asked to take no notice of sizes of 1.
        with torch.inference_mode(images.is_inference()):  # code for the one kind of tensor does not take the other
            example = torch.cat([images, images]) if single and self.one_graph else images.clone()
        if len(example) > 1:
            torch._dynamo.mark_dynamic(example, 0)
        self._making = size
        with (
            torch._dynamo.config.patch(DYNAMO),
            torch._inductor.config.patch(INDUCTOR),
            torch.fx.experimental._config.patch(backed_size_oblivious=self.one_graph),  # type: ignore[attr-defined]
        ):
            self._run(example)
        self._making = None
        taken = [graph.images for graph in self.graphs if graph.size == size]
        if single and not any(text.startswith(("any", "1 ")) or text == "1" for text in taken):
            raise NoSuchGraph(f"torch's code for {' and '.join(taken)} images of this network does not take one")

    def _backend(self, graph: Any, examples: Any) -> Any:
        """Inductor's code for a graph. Raises RuntimeError where a call wants another graph than was made for it."""
        from torch._inductor.codecache import PyCodeCache
        from torch._inductor.compile_fx import compile_fx

        if self._making is None:
            raise RuntimeError("this call is of another kind than the one that its graph was compiled for")
        begin, known = time.perf_counter(), len(PyCodeCache.modules)
        made = compile_fx(graph, examples)
        called = Counter[str]()
        for module in PyCodeCache.modules[known:]:
            called += operations(str(module.__file__))
        self.graphs.append(Graph(images_of(graph), self._making, time.perf_counter() - begin, dict(called)))
        return made


def images_of(graph: Any) -> str:
    """How many images a graph takes, by the bounds of its first axis of unknown length: ``1`` where there is none."""
    given = (node.meta["example_value"] for node in graph.graph.nodes if node.op == "placeholder")
    sizes: list[Any] = [value.shape[0] for value in given if isinstance(value, Tensor) and value.dim()]
    free = next((size.node for size in sizes if isinstance(size, torch.SymInt)), None)
    if free is None:
        return "1"
    bounds = free.shape_env.bound_sympy(free.expr)
    least, most = int(bounds.lower), int(bounds.upper) if bounds.upper < LARGEST else 0
    if most:
        return f"{max(least, 1)} to {most}"
    return f"{least} or more" if least > 1 else "any"


def operations(path: str) -> Counter[str]:
    """What the code that Inductor wrote calls: operations of libraries by name, kernels of its own as ``C++``."""
    with open(path, encoding="utf-8") as code:
        calls = [CALLED.search(line) for line in code]
    return Counter("C++" if call[1] else call[2] or call[3] for call in calls if call)
