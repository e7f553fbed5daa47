"""A user's own ONNX file as a live runner: any named inputs, each output compared by its name."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from isobatch.models.ort.calls import leaves_of, outputs_of
from isobatch.models.ort.check_user_file import check_onnx
from isobatch.models.ort.interface import where_names_say, where_recurrent_nodes_say, without_rows
from isobatch.models.ort.runner import OrtRunner
from isobatch.models.ort.session import MODEL_FILE, ort_words
from isobatch.models.ort.training_nodes import training_remarks
from isobatch.models.shared.scratch import Scratch
from isobatch.models.spec.batches import ONLY, batch_of, parts_of
from isobatch.models.spec.fit import Misfit, NotTaken, fit
from isobatch.models.spec.interface import Input
from isobatch.models.spec.outcome import Leaf
from isobatch.models.spec.words import Artifact, Manifest, RunnerSettings
from isobatch.models.user_inputs import described
from isobatch.models.user_outputs import Leaves


class GraphRunner(OrtRunner):
    """Runs a user's ONNX graph from a checked copy of its own, which is removed when this runner goes.

    ``inputs``: what the graph takes. ``notes``: what the user should know of the file. Raises ValueError for a file
    that cannot be used.
    """

    def __init__(
        self, source: bytes | str | Path, threads: int, batch_axes: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        scratch = Scratch()
        folder = scratch.path
        self._remove = weakref.finalize(self, scratch.remove)  # where nobody enters it, too
        path = Path(source) if not isinstance(source, bytes) else folder / "given.onnx"
        try:
            if isinstance(source, bytes):
                path.write_bytes(source)
            checked = check_onnx(path, batch_axes=batch_axes)
            onnx.save_model(checked.model, folder / MODEL_FILE)
        except BaseException:
            self._remove()
            raise
        super().__init__(Artifact("", folder, Manifest({}, 0)), RunnerSettings(threads))
        self.threads = threads
        self._checked = checked.model
        self.inputs: tuple[Input, ...] = checked.inputs
        self.notes = (*checked.notes, *training_remarks(checked.model))
        self.places: tuple[Leaf, ...] = ()  # of each output in a row of all, once they were learnt

    def recurrent_axes(self) -> str:
        """``x=1,y=1``: where its recurrent nodes take the batch to be; empty where that is not known."""
        return where_recurrent_nodes_say(self._checked)

    def fitted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The examples in the graph's own names, types and axes. Raises TypeError where they do not fit.

        Several are given by name, or by position in the order of the graph.
        """
        try:
            given = self._given(rows)
            made = {tensor.name: fit(given[tensor.name], tensor, "the examples are")[0] for tensor in self.inputs}
        except Misfit as error:
            raise TypeError(str(error)) from error
        return batch_of(made if len(made) > 1 else {ONLY: next(iter(made.values()))})

    def _given(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        given, names = parts_of(rows), [tensor.name for tensor in self.inputs]
        if len(given) == len(names) and (list(given) == [ONLY] or all(name.isdigit() for name in given)):
            return dict(zip(names, given.values(), strict=True))
        if set(given) != set(names):
            raise TypeError(
                f"examples of {described(rows)}, and the network takes {'; '.join(map(str, self.inputs))}: give a dict "
                f"of arrays by those names, or a tuple in that order; a file by numpy.savez(FILE, "
                f"{', '.join(f'{name}=...' for name in names)})"
            )
        return given

    def learn(self, pair: NDArray[Any]) -> None:
        """Raise TypeError where the graph does not give each of one and of two examples its row."""
        for count in (1, 2):
            outputs = self._taken(pair[:count], first=True)
            for name, value in outputs.items():
                if np.shape(value)[:1] != (count,):
                    raise TypeError(
                        f"the output {name!r} has the shape {list(np.shape(value))} for {count} "
                        f"example{'s' * (count > 1)}, and not a row for each: {without_rows(self._checked, name)}"
                    )
            self.places = leaves_of(outputs)

    def leaves(self, rows: NDArray[Any]) -> Leaves:
        """The outputs [n, ...] by name; one alone is called "": "logits" as of any network."""
        outputs = {name: np.array(value) for name, value in self._taken(rows).items()}
        return outputs if len(outputs) > 1 else {ONLY: next(iter(outputs.values()))}

    def _taken(self, rows: NDArray[Any], first: bool = False) -> dict[str, NDArray[Any]]:
        session = self.live_session()
        try:
            return outputs_of(session, rows)
        except Exception as error:  # onnxruntime's exceptions share no public base class
            axes = where_names_say(self._checked)
            remedy = f"by the names of its axes its batch is at --batch-axis {axes}" if axes else ""
            raise NotTaken(len(rows), described(rows), ort_words(error), remedy, first) from error

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._remove()
