"""An ONNX file from outside: nothing in it is believed before it is checked, and a refusal says what to do instead."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from isobatch.models.ort.batch_axis import batch_first
from isobatch.models.ort.compared_outputs import NUMBERS, keep_comparable
from isobatch.models.ort.external_data import LIMIT_BYTES as LIMIT_BYTES
from isobatch.models.ort.external_data import OnnxError as OnnxError  # with the check that raises it
from isobatch.models.ort.external_data import find_messages, take_in
from isobatch.models.ort.freed import require_one_batch, with_free_batch
from isobatch.models.ort.interface import inputs_of, real_inputs, tidy_free_axes, to_store
from isobatch.models.ort.output_shapes import infer_output_shapes, learn_output_shapes
from isobatch.models.ort.session import in_words, open_session
from isobatch.models.shared.regular_files import Altered, read_regular
from isobatch.models.spec.interface import Input
from isobatch.models.spec.nearest import nearest

_STANDARD = {"", "ai.onnx"}
_BUILT_IN_DOMAINS = {*_STANDARD, "ai.onnx.ml", "com.microsoft"}
_OLDEST_RUN, _RAISED_TO = 7, 17  # opsets: below the first onnxruntime promises nothing


@dataclass(frozen=True)
class CheckedModel:
    """A model that passed."""

    model: onnx.ModelProto  # holds every tensor itself
    sha256: str  # of the file; of all its digests with external data, and with a batch that was turned of that too
    height: int | None  # None where free
    width: int | None  # likewise
    notes: tuple[str, ...] = ()  # what the user should know of it
    inputs: tuple[Input, ...] = ()

    @property
    def num_classes(self) -> int | None:
        """The length of a row of logits, None where the graph does not say it, or where the output is no such row."""
        tensor = self.model.graph.output[0].type.tensor_type
        rest = [axis.dim_value for axis in tensor.shape.dim[1:]] if tensor.HasField("shape") else []
        return (rest[0] or None) if len(rest) == 1 else None


def check_onnx(
    path: Path, sha256: str | None = None, batch_axes: Mapping[str, int] = MappingProxyType({})
) -> CheckedModel:
    """The model in this file, if it is intact, takes a batch and needs nothing from outside its folder.

    Reads the file and its external data once: what is hashed is what is in the model. Writes nothing. ``batch_axes``:
    of inputs and outputs whose batch is another axis than the first: in the model it is the first. Raises OnnxError on
    anything else; Altered where the file does not have the given ``sha256``, that of an earlier check.
    """
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise Altered(f"{path} is not the file that was checked (SHA-256 {digest[:8]}, not {str(sha256)[:8]})")
    model = _parse(content, path)
    external = take_in(model, path)
    _check_operators(model, path)
    if zero := tidy_free_axes(model):
        raise OnnxError(
            f"{path}: an axis of {zero[0]!r} has length 0, which holds nothing; a free axis is left unset: "
            "for axis in value.type.tensor_type.shape.dim: axis.HasField('dim_value') and axis.dim_value == 0 and "
            "axis.Clear(), for each value of model.graph.input and model.graph.output"
        )
    unread = _drop_unread(model)
    _check_interface(model, path)
    altered = keep_comparable(model, path)
    unread += _drop_unread(model)  # what only outputs that are left out needed
    learnt = infer_output_shapes(model)  # whose axes --batch-axis may name
    turned = batch_first(model, batch_axes)
    require_one_batch(model, path)
    raised = _raise_old_opset(model, path)
    learnt += learn_output_shapes(model)
    _check_validity(model, path)
    model, freed = with_free_batch(model, path)
    if external or turned:  # what is kept of another file, or of this one with other axes, is not this one's
        digest = hashlib.sha256("".join([digest, *external, *turned]).encode()).hexdigest()
    inputs = tuple(inputs_of(model))
    height, width = inputs[0].sides
    return CheckedModel(model, digest, height, width, (*raised, *turned, *learnt, *unread, *altered, *freed), inputs)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise OnnxError(f"{path} is not a file; give the path of an .onnx file")
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= LIMIT_BYTES:
        raise OnnxError(
            f"{path} has {size_bytes} bytes, and an ONNX graph has 1 to {LIMIT_BYTES}; "
            "copy it again if it is empty, or store its weights as external data if it is too large"
        )
    try:
        return read_regular(path, LIMIT_BYTES)
    except (OSError, ValueError) as error:
        raise OnnxError(f"{path} cannot be read: {error}; run again when it is at rest") from error


def _parse(content: bytes, path: Path) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise OnnxError(
            f"{path} is not an ONNX file or was cut short ({error}); compare its size with the original and copy again"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise OnnxError(f"{path} holds no graph: it was cut short or is not an ONNX model; copy or export it again")
    return model


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    nodes = list(find_messages(model, onnx.NodeProto))
    if not opsets.keys() & _STANDARD and all(node.domain not in _STANDARD for node in nodes):
        model.opset_import.append(onnx.helper.make_opsetid("", _RAISED_TO))  # of scikit-learn's operators alone
        opsets[""] = _RAISED_TO
    version = opsets.get("", opsets.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= version <= newest:
        raise OnnxError(f"{path} asks for opset {version}; known are 1 to {newest}: export it again with one of them")
    schemas = [schema for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""]
    names = {schema.name for schema in schemas if schema.since_version <= version}
    own = {(function.domain, function.name) for function in model.functions}
    for node in nodes:
        if (node.domain, node.op_type) in own:
            continue
        if node.domain not in _BUILT_IN_DOMAINS:
            raise OnnxError(
                f"{path}: operator {node.op_type!r} is of the custom domain {node.domain!r}; no operator library is "
                "loaded, because it could run any code: export the model with standard operators"
            )
        if node.domain in _STANDARD and node.op_type not in names:
            raise OnnxError(
                f"{path}: opset {version} has no operator {node.op_type!r} (nearest: "
                f"{nearest(node.op_type, names)!r}); correct the opset_import or export the model again"
            )
        if node.domain in _STANDARD and onnx.defs.get_schema(node.op_type, version, "").deprecated:
            versions = [schema.since_version for schema in schemas if schema.name == node.op_type]
            later = [other for other in versions if other > version]
            anew = f"opset {min(later)}, where it is defined anew" if later else "another operator in its place"
            raise OnnxError(
                f"{path}: opset {version} has withdrawn its operator {node.op_type!r} (deprecated), and onnx's checker "
                f"refuses it: export the model again with {anew}"
            )


def _check_validity(model: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # on hostile input the checker raises more than it documents
        raise OnnxError(f"{path} is not a valid ONNX model: {error}; export it again") from error
    try:
        open_session(model.SerializeToString(), threads=1, optimise=False, quiet=True)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise OnnxError(
            f"onnxruntime cannot run {path}: {in_words(error)}; export it again without that, or with another opset: "
            f"torch.onnx.export(..., opset_version={_RAISED_TO})"
        ) from error


def _raise_old_opset(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """Convert a graph of an opset that onnxruntime runs no longer; a note where it was. Raises OnnxError."""
    version = next((entry.version for entry in model.opset_import if entry.domain in _STANDARD), _OLDEST_RUN)
    if version >= _OLDEST_RUN:
        return ()
    with contextlib.suppress(Exception):  # onnxruntime's exceptions share no public base class
        open_session(model.SerializeToString(), threads=1, optimise=False, quiet=True)
        return ()
    try:
        onnx.checker.check_model(model)
        raised = onnx.version_converter.convert_version(model, _RAISED_TO)
    except Exception as error:  # the converter raises anything for what it does not know
        raise OnnxError(
            f"{path} is of opset {version}, and onnxruntime runs {_OLDEST_RUN} and later; onnx.version_converter does "
            f"not raise it: export it again with opset {_RAISED_TO}"
        ) from error
    model.CopyFrom(raised)
    return (f"raised from opset {version} to {_RAISED_TO} (onnx.version_converter), as onnxruntime needs it",)


def _check_interface(model: onnx.ModelProto, path: Path) -> None:
    """Raise OnnxError unless arrays go in, with the batch on their first axis, and something computed comes out."""
    inputs = real_inputs(model)
    if not inputs:
        raise OnnxError(f"{path} has no input, so it tells nothing of an image: export it with its input")
    for value in model.graph.output:
        if not any(value.name in node.output for node in model.graph.node):
            kind = "the input itself" if value.name in {given.name for given in inputs} else "a stored tensor"
            raise OnnxError(
                f"{path}: the output {value.name!r} is {kind}: no operator computes it, so it tells nothing of an "
                "image; export the network again with its logits as output"
            )
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise OnnxError(
            f"{path}: {name!r} is a sparse tensor, which the converters do not read: export it dense, among "
            "model.graph.initializer"
        )
    for value in inputs:
        tensor = value.type.tensor_type
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type) if value.type.HasField("tensor_type") else "no tensor"
        if kind not in NUMBERS:
            raise OnnxError(f"{path}: {value.name!r} is {kind}; inputs are {', '.join(NUMBERS)}: export it as one")
        if not tensor.HasField("shape"):
            raise OnnxError(
                f"{path}: the shape of {value.name!r} is unknown, and the batch is its first axis; export it again "
                "with shapes, or set it with onnx.helper.make_tensor_value_info"
            )
        if not tensor.shape.dim:
            raise OnnxError(
                f"{path}: {value.name!r} is one value without a batch axis, a switch for all images: {to_store(value)}"
            )


def _drop_unread(model: onnx.ModelProto) -> tuple[str, ...]:
    """Take out inputs that no node reads, as long as one is left; a note where there were any."""
    read = {name for node in find_messages(model, onnx.NodeProto) for name in node.input}
    unread = [value for value in real_inputs(model) if value.name not in read]
    if not unread or len(unread) == len(real_inputs(model)):
        return ()
    for value in unread:
        model.graph.input.remove(value)
    return (f"nothing reads its input {', '.join(repr(value.name) for value in unread)}, which is left out",)
