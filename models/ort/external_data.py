"""External data of an ONNX file: which files hold it, that they lie inside the model's folder, and their bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx

from isobatch.models.shared.regular_files import read_regular

LIMIT_BYTES = 2**31 - 1  # protobuf's own limit for one message
_EXTERNAL_KEYS = {"location", "offset", "length", "checksum"}


class OnnxError(ValueError):
    """This ONNX file cannot be studied. The message says in one line what is wrong, why it matters and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))  # the checkers' own messages span several lines


class FixedBatch(OnnxError):
    """Its batch is baked into the graph, so that there are no batch sizes to compare."""


def take_in(model: onnx.ModelProto, path: Path) -> list[str]:
    """Put the model's external tensors into it. The SHA-256 of the files that hold them, in order of first use; each is
    inside the model's folder, and read once, after every slice of it has been checked.
    """
    files: dict[str, Path] = {}
    total_bytes = model.ByteSize()
    slices = []
    for tensor in find_messages(model, onnx.TensorProto):
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
        place = _slice(entries, files[location], f"{path}: tensor {tensor.name!r}")
        slices.append((tensor, location, place))
        total_bytes += place.stop - place.start
    if total_bytes > LIMIT_BYTES:
        raise OnnxError(f"{path}: its tensors sum to {total_bytes} bytes; at most {LIMIT_BYTES} can be studied")
    try:
        contents = {location: read_regular(file, LIMIT_BYTES) for location, file in files.items()}
    except (OSError, ValueError) as error:
        raise OnnxError(f"{path}: its external data cannot be read: {error}; copy the whole folder again") from error
    for tensor, location, place in slices:
        tensor.raw_data = contents[location][place]
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return [hashlib.sha256(content).hexdigest() for content in contents.values()]


def _inside(path: Path, location: str, tensor: str) -> Path:
    """The file a location names, if it is a plain file of its own below the model's folder.

    A link counts where the model is one as well and both lead into one folder: the store of a hub's cache.
    """
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
    target = file.resolve()
    in_its_store = path.is_symlink() and path.resolve().parent == target.parent and target.is_file()
    if target != file and not in_its_store:
        raise OnnxError(
            f"{what}, a link, through which a model could reach elsewhere; copy what it points to: "
            f"cp -rL {path.parent} COPY, and give COPY/{path.name}"
        )
    file = target
    if not file.is_file():
        raise OnnxError(f"{what}, which is no plain file; {remedy}")
    if file.stat().st_size > LIMIT_BYTES:
        raise OnnxError(f"{what}, which has {file.stat().st_size} bytes; at most {LIMIT_BYTES} are read: {remedy}")
    if file.stat().st_nlink != 1:
        raise OnnxError(f"{what}, a hard link, which may be a file from elsewhere; replace it by a copy")
    return file


def _slice(entries: dict[str, str], file: Path, what: str) -> slice:
    """Which bytes of the file a tensor takes."""
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
    return slice(offset, offset + length)


def find_messages(message: Any, kind: type[Any]) -> Iterator[Any]:
    """Every message of this kind, at any depth: sub-graphs, functions and attributes included."""
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from find_messages(part, kind)
