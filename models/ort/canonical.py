"""Rewriting an onnxruntime graph so that chosen layers run in one shape, whatever the size of the batch.

A Scan runs the layer's nodes on one part of the rows after the other. Weights stay outside, as constants of the whole
graph: onnxruntime packs those for nodes one subgraph deep, as it does for nodes outside. Two deep it does not, and
Gemm on weights that are not packed gives other bits; so there is no If around the Scan.
"""

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from isobatch.models.ort.calls import call
from isobatch.models.ort.graph import rename
from isobatch.models.ort.interface import real_inputs
from isobatch.models.ort.layers import GraphLayer
from isobatch.models.ort.session import MODEL_FILE, open_session
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.shared.wrapped import Wrapped
from isobatch.models.spec.runner import WHOLE, Canonical, Runner
from isobatch.models.spec.words import Json, VariantUnavailable

_OLDEST_OPSET = 13  # from there on Unsqueeze and Squeeze take their axes as an input
_ALL = np.iinfo(np.int64).max


class CanonicalOrtRunner(Wrapped):
    """Runs a rewritten graph beside the runner it came from. ``model`` is what a deployment would ship.

    A graph that was rewritten as optimised for this machine is not optimised again; ``optimise`` is for others.
    """

    def __init__(self, model: ModelProto, native: Runner, threads: int, optimise: bool = False) -> None:
        super().__init__(native)
        self.model = model
        self._optimise = optimise
        self._threads = threads
        self._session: ort.InferenceSession | None = None

    def __enter__(self) -> Self:
        data = self.model.SerializeToString()
        self._session = open_session(data, self._threads, optimise=self._optimise, quiet=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """One row of outputs an image (``calls.side_by_side``), in the graph's own output type."""
        if self._session is None:
            raise RuntimeError("this runner has no session: use it inside its `with` block")
        return call(self._session, images)

    def write(self, folder: Path) -> dict[str, Json]:
        """Write the graph as an ONNX file, and say whether it is to be optimised on loading."""
        (folder / MODEL_FILE).write_bytes(self.model.SerializeToString(deterministic=True))
        return {"optimise": self._optimise}

    def digest(self) -> str:
        """The SHA-256 of the file that ``write`` makes."""
        return hashlib.sha256(self.model.SerializeToString(deterministic=True)).hexdigest()


def canonical_model(graph: WatchedGraph, rules: Mapping[str, Canonical]) -> ModelProto:
    """The graph with these layers in calls of ``size`` rows, the last one filled up with copies of the last row.

    Raises KeyError for an unknown layer, VariantUnavailable where the graph's operators are too old for the rewriting.
    """
    layers = [_whole(graph)] if WHOLE in rules else [*graph.layers.values()]
    if unknown := sorted(rules.keys() - {layer.name for layer in layers}):
        raise KeyError(f"no layer {unknown[0]!r} in this graph; its layers are {', '.join(graph.layers)}")
    opset = next(entry.version for entry in graph.model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _OLDEST_OPSET:
        raise VariantUnavailable(
            f"the graph is of opset {opset}, and running a layer in parts needs at least {_OLDEST_OPSET}",
            f"export the model with opset {_OLDEST_OPSET} or newer",
        )
    rewriting = _Rewriting(graph)
    nodes: dict[int, NodeProto] = {}
    for layer in layers:
        rule = rules.get(layer.name)
        new_nodes = layer.nodes if rule is None else rewriting.rewritten(layer, rule)
        nodes |= {id(node): node for node in new_nodes}
    model = copy.deepcopy(graph.model)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend([*rewriting.shared.values(), *nodes.values()])
    model.graph.initializer.extend(rewriting.constants.values())
    return model


def _whole(graph: WatchedGraph) -> GraphLayer:
    """All layers as one."""
    nodes = {id(node): node for layer in graph.layers.values() for node in layer.nodes}
    inputs = tuple(value.name for value in real_inputs(graph.model))
    outputs = tuple(value.name for value in graph.model.graph.output)
    return GraphLayer(WHOLE, "network", "", tuple(nodes.values()), inputs, outputs)


class _Rewriting:
    """Nodes that take the place of layers, and what these share: constants, and the row numbers of every part."""

    def __init__(self, graph: WatchedGraph) -> None:
        self._types = graph.types
        self._ranks = graph.ranks
        self._images = real_inputs(graph.model)[0].name
        self.shared: dict[str, NodeProto] = {}  # by output, each behind those it reads from
        self.constants: dict[str, TensorProto] = {}

    def rewritten(self, layer: GraphLayer, rule: Canonical) -> list[NodeProto]:
        """A Scan over [parts, size, ...], behind nodes that make that of [n, ...] and before others that undo it."""
        cut, stacked = _inside(layer, "cut", layer.inputs), _inside(layer, "stacked", layer.outputs)
        body = helper.make_graph(
            _renamed(layer),
            "part",
            self._typed(layer.inputs, _inside(layer, "part", layer.inputs)),
            self._typed(layer.outputs, _inside(layer, "part", layer.outputs), ranks=self._ranks),
        )
        nodes = [self._cut(name, into, rule) for name, into in zip(layer.inputs, cut, strict=True)]
        name = f"{layer.outputs[0]}/Scan"
        nodes.append(helper.make_node("Scan", cut, stacked, name, body=body, num_scan_inputs=len(cut)))
        for name, into in zip(stacked, layer.outputs, strict=True):
            nodes += self._joined(name, into, rule)
        return nodes

    def _cut(self, name: str, into: str, rule: Canonical) -> NodeProto:
        if rule.size == 1:  # a view, where Gather copies
            return node_of("Unsqueeze", [name, self._int64([1])], into)
        return node_of("Gather", [name, self._numbers(rule)], into)

    def _joined(self, name: str, into: str, rule: Canonical) -> list[NodeProto]:
        if rule.size == 1:
            return [node_of("Squeeze", [name, self._int64([1])], into)]
        return [
            node_of("Shape", [name], f"{into}/shape"),
            node_of("Slice", [f"{into}/shape", self._int64([2]), self._int64([_ALL])], f"{into}/row"),
            node_of("Concat", [self._int64([-1]), f"{into}/row"], f"{into}/rows", axis=0),
            node_of("Reshape", [name, f"{into}/rows"], f"{into}/padded"),
            node_of("Slice", [f"{into}/padded", self._int64([0]), self._counted()], into),
        ]

    def _numbers(self, rule: Canonical) -> str:
        """The numbers of the rows in every part, int64 [parts, size]; the last row fills the last part."""
        key = f"{rule.size}/{rule.up_to}/{rule.least}"
        rows = self._share("Squeeze", [self._counted()], "rows")
        fits = self._share("LessOrEqual", [rows, self._int64(rule.up_to)], f"fits/{key}")
        enough = self._share("Max", [rows, self._int64(rule.least)], f"enough/{rule.least}")
        size = self._share("Where", [fits, enough, self._int64(rule.size)], f"size/{key}")
        last = self._share("Sub", [rows, self._int64(1)], "last")
        parts = self._share("Div", [self._share("Add", [last, size], f"up/{key}"), size], f"parts/{key}")
        padded = self._share("Mul", [parts, size], f"padded/{key}")
        numbers = self._share("Range", [self._int64(0), padded, self._int64(1)], f"numbers/{key}")
        existing = self._share("Min", [numbers, last], f"existing/{key}")
        columns = self._share("Unsqueeze", [size, self._int64([0])], f"columns/{key}")
        shape = self._share("Concat", [self._int64([-1]), columns], f"shape/{key}", axis=0)
        return self._share("Reshape", [existing, shape], f"by-part/{key}")

    def _counted(self) -> str:
        """The number of images, int64 [1]."""
        shape = self._share("Shape", [self._images], "shape")
        return self._share("Slice", [shape, self._int64([0]), self._int64([1])], "count")

    def _share(self, operator: str, inputs: Sequence[str], name: str, **attributes: int) -> str:
        output = f"canonical/{name}"
        self.shared.setdefault(output, node_of(operator, inputs, output, **attributes))
        return output

    def _int64(self, value: int | list[int]) -> str:
        name = f"canonical/{value}"
        self.constants.setdefault(name, numpy_helper.from_array(np.array(value, np.int64), name))
        return name

    def _typed(
        self, names: Sequence[str], renamed: Sequence[str], ranks: Mapping[str, int] | None = None
    ) -> list[ValueInfoProto]:
        """``ranks``: by name, for what a Scan gives: where it cannot infer how many axes that has, it must be told."""
        pairs = zip(names, renamed, strict=True)
        axes = {name: [None] * rank for name, rank in (ranks or {}).items()}
        return [helper.make_tensor_value_info(new, self._types[name], axes.get(name)) for name, new in pairs]


def _inside(layer: GraphLayer, word: str, names: Iterable[str]) -> list[str]:
    return [f"{layer.name}/{word}/{name}" for name in names]


def _renamed(layer: GraphLayer) -> list[NodeProto]:
    """The layer's nodes for a subgraph, where no name of the graph around it may be given again."""
    own = [*layer.inputs, *(name for node in layer.nodes for name in node.output if name)]
    new = dict(zip(own, _inside(layer, "part", own), strict=True))
    nodes = []
    for node in layer.nodes:
        twin = copy.deepcopy(node)
        rename([twin], new)
        written = next(filter(None, node.output))  # by this node alone; its own name may be missing or given twice
        twin.name = f"{layer.name}/part/{written}"
        nodes.append(twin)
    return nodes


def node_of(operator: str, inputs: Sequence[str], output: str, **attributes: int | list[int]) -> NodeProto:
    """A node of one output, which names it."""
    return helper.make_node(operator, inputs, [output], f"{output}/{operator}", **attributes)
