"""A live OpenVINO model, and what it really computes.

Its compiled graph cannot be taken apart layer by layer without changing what is fused, so it is not ``Inspectable``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

from numpy.typing import NDArray

from isobatch.models.openvino.session import compile_model, computed_in, graph_file, names_of
from isobatch.models.ort.calls import feed, side_by_side
from isobatch.models.shared.wrapped import Padded, Streamed
from isobatch.models.spec.runner import WHOLE, Canonical, Runner
from isobatch.models.spec.words import Artifact, Effective, RunnerSettings

_HINTS = {"f32": "fp32", "bf16": "bf16"}


class OpenVinoRunner:
    """Runs the graph as deployed: compiled for latency, one stream, the condition's threads.

    Raises VariantUnavailable where OpenVINO is missing.
    """

    def __init__(self, artifact: Artifact, settings: RunnerSettings) -> None:
        self._artifact = artifact
        self._settings = settings
        self._compiled: Any = None

    def __enter__(self) -> Self:
        hint = self._artifact.manifest.recipe["hint"]
        self._compiled = compile_model(graph_file(self._artifact.folder), self._settings.threads, hint)
        return self

    def __exit__(self, *_: object) -> None:
        self._compiled = None

    def run(self, images: NDArray[Any]) -> NDArray[Any]:
        """One row of outputs an image (``side_by_side``), in the graph's own output type."""
        live = self._live()
        given = feed(names_of(live.inputs, images), images)
        outputs = live(given, share_inputs=False, share_outputs=False)
        return side_by_side({port.any_name: outputs[port] for port in live.outputs}, len(images))

    def effective(self) -> Effective:
        """What the weight layers of the compiled graph compute in, and what was read back of the settings."""
        compiled = self._live()
        computed = Counter(computed_in(compiled))
        return Effective(
            precision="+".join(kind for kind, _ in computed.most_common()),
            provider="OpenVINO CPU",
            int8_layers=computed["int8"],
            weight_layers=computed.total(),
            note="; ".join(self._surprises(compiled, computed)),
        )

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Runner:
        """The whole network in calls of one size. Raises KeyError for a layer: this graph is not taken apart."""
        if set(rules) != {WHOLE}:
            raise KeyError(f"no layer {min(rules)!r}: an OpenVINO graph is rewritten as a whole only")
        return Padded(self, rules[WHOLE])

    def why_closed(self) -> str:
        """What OpenVINO does to the graph."""
        return "OpenVINO fuses its layers when it compiles it, and taking them apart would change what is fused"

    def with_threads(self, threads: int, streams: int = 1) -> Streamed:
        """A compiled model of its own with so many threads, running several images at a time where asked."""
        twin = OpenVinoRunner(self._artifact, replace(self._settings, threads=threads))
        return Streamed(twin, streams, twin)

    def _surprises(self, compiled: Any, computed: Counter[str]) -> Iterator[str]:
        hint = _HINTS[self._artifact.manifest.recipe["hint"]]
        others = sorted(set(computed) - {hint, "int8"})
        if others:
            yield f"asked for {hint}, {' and '.join(f'{computed[kind]} layers run in {kind}' for kind in others)}"
        threads = compiled.get_property("INFERENCE_NUM_THREADS")
        if threads != self._settings.threads:
            yield f"asked for {self._settings.threads} threads, OpenVINO uses {threads}"
        for part in str(compiled.get_property("RUNTIME_REQUIREMENTS")).split(";"):
            if part.startswith("isa="):
                yield f"kernels: {part.removeprefix('isa=')}"
        if self._settings.memory_format != "contiguous":
            yield f"memory format {self._settings.memory_format} has no effect: OpenVINO chooses its own layouts"

    def _live(self) -> Any:
        if self._compiled is None:
            raise RuntimeError("this runner has no model: use it inside its `with` block")
        return self._compiled
