"""An ONNX file from outside: nothing in it is believed before it is checked, and a refusal says what to do instead."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from isobatch.models.ort.external_data import LIMIT_BYTES as LIMIT_BYTES
from isobatch.models.ort.external_data import OnnxError as OnnxError  # with the check that raises it
from isobatch.models.ort.external_data import find_messages, take_in
from isobatch.models.ort.session import open_session
from isobatch.models.shared.regular_files import Altered, read_regular

_BUILT_IN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
_RE_EXPORT = "export it again with torch.onnx.export(..., dynamic_shapes=({0: 'n', 2: 'h', 3: 'w'},))"


@dataclass(frozen=True)
class CheckedModel:
    """A model that passed. ``model`` holds every tensor itself; ``height`` and ``width`` are None where free."""

    model: onnx.ModelProto
    sha256: str  # of the file; with external data, of the digests of all its files
    height: int | None
    width: int | None
    notes: tuple[str, ...] = ()  # what the user should know of it

    @property
    def num_classes(self) -> int | None:
        """The length of a row of logits, None where the graph leaves it free."""
        classes: int = self.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        return classes or None


def check_onnx(path: Path, sha256: str | None = None) -> CheckedModel:
    """The model in this file, if it is an intact image classifier that needs nothing from outside its folder.

    Reads the file and its external data once: what is hashed is what is in the model. Writes nothing. Raises OnnxError
    on anything else; Altered where the file does not have the given ``sha256``, that of an earlier check.
    """
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise Altered(f"{path} is not the file that was checked (SHA-256 {digest[:8]}, not {str(sha256)[:8]})")
    model = _parse(content, path)
    external = take_in(model, path)
    _check_operators(model, path)
    _check_validity(model, path)
    height, width = _check_interface(model, path)
    if external:
        digest = hashlib.sha256("".join([digest, *external]).encode()).hexdigest()
    return CheckedModel(model, digest, height, width, _notes(model))


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
    version = opsets.get("", opsets.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= version <= newest:
        raise OnnxError(f"{path} asks for opset {version}; known are 1 to {newest}: export it again with one of them")
    schemas = onnx.defs.get_all_schemas_with_history()
    names = {schema.name for schema in schemas if schema.domain == "" and schema.since_version <= version}
    own = {(function.domain, function.name) for function in model.functions}
    for node in find_messages(model, onnx.NodeProto):
        if (node.domain, node.op_type) in own:
            continue
        if node.domain not in _BUILT_IN_DOMAINS:
            raise OnnxError(
                f"{path}: operator {node.op_type!r} is of the custom domain {node.domain!r}; no operator library is "
                "loaded, because it could run any code: export the model with standard operators"
            )
        if node.domain in ("", "ai.onnx") and node.op_type not in names:
            near = difflib.get_close_matches(node.op_type, names, n=1, cutoff=0.0)[0]
            raise OnnxError(
                f"{path}: opset {version} has no operator {node.op_type!r} (nearest: {near!r}); "
                "correct the opset_import or export the model again"
            )


def _check_validity(model: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # on hostile input the checker raises more than it documents
        raise OnnxError(f"{path} is not a valid ONNX model: {error}; export it again") from error
    try:
        open_session(model.SerializeToString(), threads=1, optimise=False, quiet=True)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise OnnxError(f"onnxruntime cannot run {path}: {error}; export it for an older opset") from error


def _check_interface(model: onnx.ModelProto, path: Path) -> tuple[int | None, int | None]:
    """The fixed height and width of the input, None where free."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise OnnxError(
            f"{path} has inputs {[value.name for value in inputs]} and outputs "
            f"{[value.name for value in model.graph.output]}; a classifier has one each: images in, logits out"
        )
    image, logits = inputs[0], model.graph.output[0]
    if not any(logits.name in node.output for node in model.graph.node):
        kind = "the input itself" if logits.name == image.name else "a stored tensor"
        raise OnnxError(
            f"{path}: the output {logits.name!r} is {kind}: no operator computes it, so it tells nothing of an image; "
            "export the network again with its logits as output"
        )
    for value, role, rank in ((image, "input [n, 3, height, width]", 4), (logits, "output [n, classes]", 2)):
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
            raise OnnxError(f"{path}: {value.name!r} is {kind}, but the {role} must be FLOAT; export it in float32")
        if not tensor.HasField("shape") or len(tensor.shape.dim) != rank:
            found = len(tensor.shape.dim) if tensor.HasField("shape") else "unknown"
            raise OnnxError(
                f"{path}: {value.name!r} has rank {found}, but the {role} has {rank}; export the logits alone"
            )
        if fixed := tensor.shape.dim[0].dim_value:
            raise OnnxError(
                f"{path}: the batch axis of {value.name!r} is fixed at {fixed}, and batch sizes are what is "
                f"compared; {_RE_EXPORT}"
            )
    _, channels, height, width = (dim.dim_value or None for dim in image.type.tensor_type.shape.dim)
    if channels != 3:
        layout = " (the 3 at the end looks like NHWC)" if width == 3 else ""
        remedy = (
            "add a Transpose in front or export it in that layout"
            if width == 3
            else "export it with 3 channels; of a network for grey images, repeat its first weight over 3 and divide it"
        )
        raise OnnxError(
            f"{path}: axis 1 of {image.name!r} is {channels or 'free'}{layout}, but images come as NCHW with 3 "
            f"channels; {remedy}"
        )
    return height, width


def _notes(model: onnx.ModelProto) -> tuple[str, ...]:
    last = next(node for node in reversed(model.graph.node) if model.graph.output[0].name in node.output)
    if last.op_type not in ("Softmax", "LogSoftmax"):
        return ()
    return (f"its output comes from {last.op_type}, so margins and noise are not those of logits",)
