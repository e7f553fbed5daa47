"""An ONNX file from outside: nothing in it is believed before it is checked, and a refusal says what to do instead."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from isobatch.models.ort.session import open_session
from isobatch.models.spec.artifact_cache import file_sha256

LIMIT_BYTES = 2**31 - 1  # protobuf's own limit for one message
_EXTERNAL_KEYS = {"location", "offset", "length", "checksum"}
_BUILT_IN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
_RE_EXPORT = "export it again with torch.onnx.export(..., dynamic_shapes=({0: 'n', 2: 'h', 3: 'w'},))"


class OnnxError(ValueError):
    """This ONNX file cannot be studied. The message says in one line what is wrong, why it matters and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))  # the checkers' own messages span several lines


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


def check_onnx(path: Path) -> CheckedModel:
    """The model in this file, if it is an intact image classifier that needs nothing from outside its folder.

    Reads the file and its external data, and writes nothing. Raises OnnxError on anything else.
    """
    model = _parse(path)
    external = _check_external_data(model, path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise OnnxError(f"{path}: its external data cannot be read: {error}; copy the whole folder again") from error
    _check_operators(model, path)
    _check_validity(model, path)
    height, width = _check_interface(model, path)
    digests = [file_sha256(file) for file in (path, *external)]
    digest = digests[0] if not external else hashlib.sha256("".join(digests).encode()).hexdigest()
    return CheckedModel(model, digest, height, width, _notes(model))


def _parse(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise OnnxError(f"{path} is not a file; give the path of an .onnx file")
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= LIMIT_BYTES:
        raise OnnxError(
            f"{path} has {size_bytes} bytes, and an ONNX graph has 1 to {LIMIT_BYTES}; "
            "copy it again if it is empty, or store its weights as external data if it is too large"
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise OnnxError(
            f"{path} is not an ONNX file or was cut short ({error}); compare its size with the original and copy again"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise OnnxError(f"{path} holds no graph: it was cut short or is not an ONNX model; copy or export it again")
    return model


def _check_external_data(model: onnx.ModelProto, path: Path) -> list[Path]:
    """The files that hold this model's external tensors, in order of first use; each is inside the model's folder."""
    files: dict[str, Path] = {}
    total_bytes = model.ByteSize()
    for tensor in _find(model, onnx.TensorProto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if unknown := sorted(set(entries) - _EXTERNAL_KEYS):
            raise OnnxError(
                f"{path}: tensor {tensor.name!r} has unknown external-data keys {unknown}; "
                f"ONNX knows {sorted(_EXTERNAL_KEYS)}: save the model again with the onnx package"
            )
        location = entries.get("location", "")
        if location not in files:
            files[location] = _inside(path, location, tensor.name)
        total_bytes += _slice_bytes(entries, files[location], f"{path}: tensor {tensor.name!r}")
    if total_bytes > LIMIT_BYTES:
        raise OnnxError(f"{path}: its tensors sum to {total_bytes} bytes; at most {LIMIT_BYTES} can be studied")
    return list(files.values())


def _inside(path: Path, location: str, tensor: str) -> Path:
    """The file a location names, if it is a plain file of its own below the model's folder."""
    what = f"{path}: the data of tensor {tensor!r} is at {location!r}"
    remedy = f"put the data file beside {path.name} and save the model with a relative location"
    parts = PurePosixPath(location).parts
    if not location or "\0" in location or "\\" in location or PureWindowsPath(location).drive:
        raise OnnxError(f"{what}, which is no relative path; {remedy}")
    if PurePosixPath(location).is_absolute() or ".." in parts:
        raise OnnxError(f"{what}, outside the model's folder, where a model may not reach; {remedy}")
    folder = path.parent.resolve()
    file = folder / location
    if not file.exists():
        raise OnnxError(f"{what}, and there is no such file; copy it there from where the model came from")
    if file.resolve() != file or not file.is_file():
        raise OnnxError(f"{what}, a link or no plain file, through which a model could reach elsewhere; {remedy}")
    if file.stat().st_nlink != 1:
        raise OnnxError(f"{what}, a hard link, which may be a file from elsewhere; replace it by a copy")
    return file


def _slice_bytes(entries: dict[str, str], file: Path, what: str) -> int:
    """How many bytes of the file a tensor takes."""
    size_bytes = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", size_bytes - offset))
    except ValueError as error:
        raise OnnxError(f"{what} has an offset or length that is no number; save the model again") from error
    if offset < 0 or length < 0 or offset + length > size_bytes:
        raise OnnxError(
            f"{what} takes bytes {offset} to {offset + length} of {file.name}, which has {size_bytes}: "
            "the data file was cut short or belongs to another model; copy both again"
        )
    return length


def _check_operators(model: onnx.ModelProto, path: Path) -> None:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    version = opsets.get("", opsets.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= version <= newest:
        raise OnnxError(f"{path} asks for opset {version}; known are 1 to {newest}: export it again with one of them")
    schemas = onnx.defs.get_all_schemas_with_history()
    names = {schema.name for schema in schemas if schema.domain == "" and schema.since_version <= version}
    own = {(function.domain, function.name) for function in model.functions}
    for node in _find(model, onnx.NodeProto):
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


def _find(message: Any, kind: type[Any]) -> Iterator[Any]:
    """Every message of this kind, at any depth: sub-graphs, functions and attributes included."""
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from _find(part, kind)
