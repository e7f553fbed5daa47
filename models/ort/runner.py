"""A live onnxruntime session, what it really computes, and where its quantized activations hit their limits."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from isobatch.models.ort.calls import call
from isobatch.models.ort.canonical import CanonicalOrtRunner, canonical_model
from isobatch.models.ort.clipping import WATCHED_FILE, clip_counts
from isobatch.models.ort.crafted import IntegerGraphRunner
from isobatch.models.ort.examined import ExaminedGraphRunner
from isobatch.models.ort.graph import optimised_graph, weight_layers
from isobatch.models.ort.saturation import saturating_operators
from isobatch.models.ort.scales import rescaled
from isobatch.models.ort.session import MODEL_FILE, open_session, turned
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.shared.wrapped import Streamed, Switched
from isobatch.models.spec.case import Case
from isobatch.models.spec.repairable import Scales
from isobatch.models.spec.runner import Canonical, Layer, Rows
from isobatch.models.spec.words import Artifact, Effective, Json, RunnerSettings


class OrtRunner(ExaminedGraphRunner):
    """Runs ``model.onnx`` as a user would deploy it: all graph optimisations on, one sequential session."""

    def __init__(self, artifact: Artifact, settings: RunnerSettings) -> None:
        self._artifact = artifact
        self._path = artifact.folder / MODEL_FILE
        self._recipe = artifact.manifest.recipe
        self._settings = settings
        self._session: ort.InferenceSession | None = None

    def __enter__(self) -> Self:
        self._session = open_session(self._path, self._settings.threads, quiet=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        self.__dict__.pop("_watched", None)  # and with it the sessions of its layers

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """One row of outputs an image (``calls.side_by_side``), in the graph's own output type."""
        return call(self.live_session(), images)

    def effective(self) -> Effective:
        """What the weight layers of the graph that runs here compute in.

        Opens a second session, which saves that graph to be read: call it after measuring time and memory.
        """
        provider: str = self.live_session().get_providers()[0]
        graph = optimised_graph(self._path, self._settings.threads)
        layers = weight_layers(graph)
        computed = Counter(layer.computed for layer in layers)
        return Effective(
            precision="+".join(kind for kind, _ in computed.most_common()),
            provider=provider,
            int8_layers=computed["int8"],
            weight_layers=len(layers),
            note="; ".join(self._surprises(provider, computed, {node.op_type for node in graph.graph.node})),
        )

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        """Logits [n, classes] of one run of the optimised graph; ``see`` gets every layer's arrays, read-only."""
        return self._watched.watch(images, see)

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """This layer's outputs on these inputs, read-only. Raises KeyError for an unknown layer."""
        return self._watched.replay(layer, inputs)

    def case(self, layer: str, inputs: Rows) -> Case:
        """This layer on these rows as a reproducer script needs it. Raises KeyError for an unknown layer."""
        return self._watched.case(layer, inputs)

    def with_canonical(self, rules: Mapping[str, Canonical]) -> CanonicalOrtRunner:
        """A runner of the optimised graph with these layers rewritten; its weights are loaded a second time.

        Raises KeyError for an unknown layer, VariantUnavailable where one cannot be rewritten.
        """
        return CanonicalOrtRunner(canonical_model(self._watched, rules), self, self._settings.threads)

    def with_scales(self, kind: Scales, examples: NDArray[np.float32]) -> CanonicalOrtRunner:
        """A runner of the graph as built, with other activation scales. Raises VariantUnavailable where it has none."""
        model = rescaled(onnx.load_model(self._path), kind, examples)
        return CanonicalOrtRunner(model, self, self._settings.threads, optimise=True)

    def with_threads(self, threads: int, streams: int = 1) -> Streamed:
        """A session of its own with so many threads, which runs several images at a time where ``streams`` asks."""
        twin = OrtRunner(self._artifact, replace(self._settings, threads=threads))
        return Streamed(twin, streams, twin)

    switches_of = "onnxruntime"

    def with_switches(self, options: Mapping[str, Any]) -> Switched:
        """A session of its own that is opened with these switches turned."""
        twin = OrtRunner(self._artifact, self._settings)
        return Switched(twin, options, partial(turned, options), opens=True)

    def write(self, folder: Path) -> dict[str, Json]:
        """Copy the graph as built. It is to be optimised on loading, as it is here."""
        shutil.copyfile(self._path, folder / MODEL_FILE)
        return {"optimise": True}

    def _surprises(self, provider: str, computed: Counter[str], operators: set[str]) -> Iterator[str]:
        stored = Counter(layer.stored for layer in weight_layers(onnx.load_model(self._path)))
        for kind in ("fp16", "int8"):
            if computed[kind] < stored[kind]:
                rest = " and ".join(sorted(set(computed) - {kind}))
                them = "the others" if computed[kind] else "them"
                yield (
                    f"{computed[kind]} of {stored[kind]} layers with {kind} weights compute in {kind}: "
                    f"{provider} runs {them} in {rest}"
                )
        clipping = saturating_operators() & operators
        if clipping and not self._recipe.get("reduce_range"):
            yield f"{', '.join(sorted(clipping))} clips sums at 16 bits on this machine, and reduce_range is off"
        if self._settings.memory_format != "contiguous":
            yield f"memory format {self._settings.memory_format} has no effect: onnxruntime chooses its own layouts"

    @cached_property
    def _watched(self) -> WatchedGraph:
        self.live_session()
        return WatchedGraph(optimised_graph(self._path, self._settings.threads), self._settings.threads)

    def live_session(self) -> ort.InferenceSession:
        """The session that runs. Raises RuntimeError outside of enter and exit."""
        if self._session is None:
            raise RuntimeError("this runner has no session: use it inside its `with` block")
        return self._session


class QuantizedOrtRunner(IntegerGraphRunner, OrtRunner):
    """A runner whose activations have fixed int8 scales."""

    def clip_counts(self, images: NDArray[np.float32]) -> dict[str, tuple[int, int]]:
        """Per quantized layer how many of its activations are lost beyond the int8 range, of how many."""
        self.live_session()
        return clip_counts(self._path.with_name(WATCHED_FILE), images, self._settings.threads)
