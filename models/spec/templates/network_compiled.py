"""A part of every shipped network.py: the network compiled by torch's Inductor, which is loaded where it is used."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

# -- from here on: part of every script --

DYNAMO = {"automatic_dynamic_shapes": False, "recompile_limit": 64, "fail_on_recompile_limit_hit": True}
INDUCTOR = {"freezing": True, "compile_threads": 1}
CALLED = re.compile(r"(?:= |^ +)(?:(cpp_fused)_\w+|extern_kernels\.(\w+)|torch\.ops\.([\w.]+?)(?:\.default)?)\(")


@dataclass(frozen=True)
class Graph:
    """One graph that was compiled. ``images``: ``1``, ``2 or more``, or ``any``; ``size``: height and width of each.

    ``operations``: the libraries' operations that it calls, by name, and under ``C++`` the kernels written for it.
    """

    images: str
    size: tuple[int, ...]
    seconds: float
    operations: dict[str, int]


class Compiled(nn.Module):
    """Runs ``inner`` compiled, its weights frozen into the code: one graph for a single image, one for any more.

    Each size of image has graphs of its own, made at the first call, whatever was called before. ``one_graph``: how
    many images there are stays unknown to the compiler, so that a single one runs in the graph of all. ``dynamic``: as
    ``torch.compile`` takes it.
    """

    def __init__(self, inner: nn.Module, one_graph: bool = False, dynamic: bool | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.training = inner.training
        self.one_graph = one_graph
        self.dynamic = dynamic
        self.graphs: list[Graph] = []
        self._made: set[tuple[int, ...]] = set()
        self._now: tuple[str, tuple[int, ...]] | None = None  # what is being made
        self._run: Callable[[Tensor], Tensor] | None = None
        self._making = threading.Lock()

    def forward(self, images: Tensor) -> Tensor:
        """The outputs [n, ...] of images [n, channels, height, width]; seconds to minutes more at a first call."""
        alone = len(images) == 1 and not self.one_graph
        kind = (int(alone), *images.shape[1:])
        if kind not in self._made:
            with self._making:
                if kind not in self._made:
                    self._make(images, alone)
                    self._made.add(kind)
        assert self._run is not None
        return self._run(images)

    def _make(self, images: Tensor, alone: bool) -> None:
        """Compile the graph that this call needs."""
        import torch._dynamo
        import torch._inductor.config
        import torch.fx.experimental._config

        if self._run is None:
            self._run = torch.compile(self.inner, backend=self._backend, fullgraph=True, dynamic=self.dynamic)
        # Of one image torch makes a graph for one image, unless it is asked to take no notice of sizes of 1.
        with torch.inference_mode(images.is_inference()):  # code for the one kind of tensor does not take the other
            example = torch.cat([images, images]) if self.one_graph else images.clone()
        if not alone:
            torch._dynamo.mark_dynamic(example, 0)
        self._now = ("any" if self.one_graph else "1" if alone else "2 or more", tuple(images.shape[2:]))
        with (
            torch._dynamo.config.patch(DYNAMO),
            torch._inductor.config.patch(INDUCTOR),
            torch.fx.experimental._config.patch(backed_size_oblivious=self.one_graph),  # type: ignore[attr-defined]
        ):
            self._run(example)
        self._now = None

    def _backend(self, graph: Any, examples: Any) -> Any:
        """Inductor's code for a graph. Raises RuntimeError where a call wants another graph than was made for it."""
        from torch._inductor.codecache import PyCodeCache
        from torch._inductor.compile_fx import compile_fx

        if self._now is None:
            raise RuntimeError("this call is of another kind than the one that its graph was compiled for")
        begin, known = time.perf_counter(), len(PyCodeCache.modules)
        made = compile_fx(graph, examples)
        called = Counter[str]()
        for module in PyCodeCache.modules[known:]:
            called += operations(str(module.__file__))
        self.graphs.append(Graph(*self._now, time.perf_counter() - begin, dict(called)))
        return made


def operations(path: str) -> Counter[str]:
    """What the code that Inductor wrote calls: operations of libraries by name, kernels of its own as ``C++``."""
    with open(path, encoding="utf-8") as code:
        found = [CALLED.search(line) for line in code]
    return Counter("C++" if one[1] else one[2] or one[3] for one in found if one)
