"""Watching a deployed onnxruntime graph at work, and running its layers again alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper

from isobatch.models.ort.calls import feed, side_by_side
from isobatch.models.ort.interface import inputs_of
from isobatch.models.ort.layers import GraphLayer, cut, part
from isobatch.models.ort.session import open_session
from isobatch.models.spec.case import Case, Shrink
from isobatch.models.spec.runner import Layer, Rows
from isobatch.models.spec.templates import ort_part

_SEGMENT = 8  # layers whose values are held at once: of ResNet50 with 16 images of 224 x 224, at most 400 MB
_SESSIONS = 1  # of single layers, kept for the next call: each holds on to the memory of its largest one
Values = dict[str, NDArray[np.generic]]


class WatchedGraph:
    """A graph as onnxruntime optimised it, run in segments of a few layers or layer by layer.

    Nothing is optimised a second time: every node runs as it does in the session that saved this graph.
    """

    def __init__(self, model: ModelProto, threads: int) -> None:
        self.model = model
        self._threads = threads
        self.types, self.ranks, rows, shared = self._probe()
        self.layers = cut(model, rows, shared)
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}  # of one image's inputs of each layer watched
        self._alone = lru_cache(_SESSIONS)(lambda name: self._open([self.layers[name]]))

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[np.generic]:
        """The rows of one run. ``see`` gets read-only arrays that nothing writes to, layer by layer.

        One segment after the other, each session closed before the next: memory holds the values of one segment and
        those that later ones read.
        """
        graph = self.model.graph
        answers = [value.name for value in graph.output]
        values = _read_only(feed([value.name for value in graph.input], images.copy()))
        order = list(self.layers.values())
        for start in range(0, len(order), _SEGMENT):
            segment, later = order[start : start + _SEGMENT], order[start + _SEGMENT :]
            values |= _run(self._open(segment), values)
            for layer in segment:
                inputs = tuple(values[name] for name in layer.inputs)
                self.shapes[layer.name] = tuple(value.shape[1:] for value in inputs)
                see(_described(layer, inputs), inputs, tuple(values[name] for name in layer.outputs))
            read_later = set(answers).union(*(layer.inputs for layer in later))
            values = {name: value for name, value in values.items() if name in read_later}
        return side_by_side({name: values[name] for name in answers}, len(images))

    def replay(self, name: str, inputs: Rows) -> Rows:
        """This layer's outputs on these inputs, from a session of its own. Raises KeyError for an unknown layer."""
        return self._rows(self._alone(name), name, inputs)

    def alone(self, name: str) -> ModelProto:
        """A model of this layer alone, the caller's own. Raises KeyError for an unknown layer."""
        return part(self.model, [self.layers[name]], self.types)

    def replay_with(self, name: str, inputs: Rows, constants: Mapping[str, NDArray[Any]]) -> Rows:
        """``replay`` with other arrays under the names of these stored ones; the layer itself is unchanged."""
        model = self.alone(name)
        for tensor in model.graph.initializer:
            if tensor.name in constants:
                tensor.CopyFrom(numpy_helper.from_array(constants[tensor.name], tensor.name))
        return self._rows(self._session(model), name, inputs)

    def values(self, name: str, inputs: Rows, inside: Sequence[str]) -> Values:
        """These values from inside of a layer, on these inputs. Raises KeyError for an unknown layer."""
        model = self.alone(name)
        model.graph.output.extend(ValueInfoProto(name=value) for value in inside)
        return _run(self._session(model), dict(zip(self.layers[name].inputs, inputs, strict=True)))

    @contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """Sessions opened inside this block have so many threads, and none of them is used after it."""
        before = self._threads
        self._threads = count
        self._alone.cache_clear()
        try:
            yield
        finally:
            self._threads = before
            self._alone.cache_clear()

    def case(self, name: str, inputs: Rows) -> Case:
        """This layer on these rows as a reproducer script needs it. Raises KeyError for an unknown layer."""
        layer = self.layers[name]
        arrays = {f"x{place}": value for place, value in enumerate(inputs)}
        facts = {
            "operation": ", ".join(node.op_type for node in layer.nodes),
            "threads": self._threads,
            "environment": ort_part.environment(),
            "inputs": dict(zip(layer.inputs, arrays, strict=True)),
            "outputs": list(layer.outputs),
        }

        def run(given: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
            return [*self.replay(name, tuple(given[array] for array in arrays))]

        model = part(self.model, [layer], self.types).SerializeToString()
        shrinks = [Shrink("rows of pixels", (("x0", 2),)), Shrink("columns of pixels", (("x0", 3),))]
        square = len(inputs) == 1 and inputs[0].ndim == 4
        return Case("ort", facts, arrays, tuple(arrays), lambda given: run, tuple(shrinks) if square else (), model)

    def _rows(self, session: ort.InferenceSession, name: str, inputs: Rows) -> Rows:
        layer = self.layers[name]
        values = _run(session, dict(zip(layer.inputs, inputs, strict=True)))
        return tuple(values[output] for output in layer.outputs)

    def _open(self, layers: Sequence[GraphLayer]) -> ort.InferenceSession:
        return self._session(part(self.model, layers, self.types))

    def _session(self, model: ModelProto) -> ort.InferenceSession:
        return open_session(model.SerializeToString(), self._threads, optimise=False, quiet=True)

    def _probe(self) -> tuple[dict[str, int], dict[str, int], frozenset[str], frozenset[str]]:
        """By name the type and the rank of every value; the values whose first axis follows the number of images, and
        those whose shape is the same for one image and for two.
        """
        tapped = ModelProto()
        tapped.CopyFrom(self.model)
        graph = tapped.graph
        known = {value.name for value in graph.output}
        written = [name for node in graph.node for name in node.output if name]
        graph.output.extend(ValueInfoProto(name=name) for name in written if name not in known)
        session = self._session(tapped)
        shapes: list[dict[str, tuple[int, ...]]] = []
        for count in (1, 2):
            given: Values = {
                tensor.name: np.zeros((count, *tensor.example_shape), tensor.dtype) for tensor in inputs_of(self.model)
            }
            values = given | _run(session, given)
            shapes.append({name: value.shape for name, value in values.items()})
        types = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in values.items()}
        alone, pair = shapes
        rows = frozenset(name for name in pair if (alone[name][:1], pair[name][:1]) == ((1,), (2,)))
        shared = frozenset(name for name in pair if alone[name] == pair[name])
        return types, {name: len(shape) for name, shape in pair.items()}, rows, shared


def _described(layer: GraphLayer, inputs: Rows) -> Layer:
    shapes = " ".join(f"{value.dtype}{[*value.shape[1:]]}" for value in inputs)
    return Layer(layer.name, layer.kind, f"{layer.signature} <- {shapes}")


def _run(session: ort.InferenceSession, values: Mapping[str, NDArray[np.generic]]) -> Values:
    """All outputs of this session by name, read-only; ``values`` may hold more than its inputs."""
    outputs = [value.name for value in session.get_outputs()]
    arrays = session.run(outputs, {value.name: values[value.name] for value in session.get_inputs()})
    return _read_only(dict(zip(outputs, arrays, strict=True)))


def _read_only(values: Values) -> Values:
    for value in values.values():
        value.flags.writeable = False
    return values
