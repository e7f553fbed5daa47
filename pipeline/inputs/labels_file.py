"""Labels and class names from files of the user's: a CSV of labels, an array of them, a list of classes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.inputs.labels import Labels, class_index
from isobatch.pipeline.inputs.request import InputError, SetsAsked, printable

_MOST_BYTES = 64 << 20


def read_classes(path: Path, num_classes: int | None) -> tuple[str, ...]:
    """The names of the classes, in order: a line each, or JSON: a list, {"0": name} or {name: index}.

    Raises InputError where the file cannot be read so, or names more or fewer classes than the network has.
    """
    text = _text(path, "--classes")
    if path.suffix.lower() == ".json":
        names = _json_classes(path, text)
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names or (num_classes and len(names) != num_classes):
        raise _unfit(
            path, "--classes", f"names {len(names)} classes, and the network has {num_classes}: a line for each"
        )
    return tuple(names)


def _json_classes(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
        if isinstance(content, list):
            return [_name(name) for name in content]
        if all(isinstance(index, int) for index in content.values()):  # ImageFolder's class_to_idx
            content = {index: name for name, index in content.items()}
        by_index = {int(index): _name(name) for index, name in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise _unfit(path, "--classes", 'is not JSON such as ["cat", "dog"], {"0": "cat"} or {"cat": 0}') from error
    if sorted(by_index) != list(range(len(by_index))):
        raise _unfit(path, "--classes", f"has not every index from 0 to {len(by_index) - 1} once")
    return [by_index[index] for index in range(len(by_index))]


def _name(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def labels_by_name(path: Path, files: Sequence[str], names: Sequence[str] | None, num_classes: int | None) -> Labels:
    """One label for each file, from a CSV with the file in one column and its label in another.

    ``files``: relative to their folder; a row may also name a file without its folder. Raises InputError where the file
    cannot be read so, or a file has no row.
    """
    by_file = {row[0].strip().removeprefix("./"): row[1].strip() for row in _rows(path) if len(row) > 1}
    labels = []
    for file in files:
        label = by_file.get(file, by_file.get(file.rpartition("/")[2]))
        if label is None:
            raise _unfit(path, "--labels", f"has no row for {printable(file)}: a row is the file, a comma, its class")
        labels.append(_class(path, label, names, num_classes))
    return Labels(tuple(labels), f"from {printable(path.name)}")


def labels_of_array(request: SetsAsked, count: int, beside: NDArray[Any] | None, source: str) -> Labels | None:
    """The labels of ``count`` images of an array: of --labels, else those in ``source``; None without either."""
    if request.labels_file is not None:
        return labels_in_order(Path(request.labels_file), count, request.class_names, request.num_classes)
    return None if beside is None else array_labels(beside, count, request.num_classes, printable(source))


def labels_in_order(path: Path, count: int, names: Sequence[str] | None, num_classes: int | None) -> Labels:
    """One label for each of ``count`` images of an array, in order: the last column of a CSV, or a .npy of integers."""
    if path.suffix.lower() == ".npy":
        try:
            labels = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _unfit(path, "--labels", f"is no readable array ({printable(error)})") from error
        return array_labels(labels, count, num_classes, printable(path.name))
    texts = [row[-1].strip() for row in _rows(path)]
    if len(texts) == count + 1:  # a first row with the names of the columns
        texts = texts[1:]
    if len(texts) != count:
        raise _unfit(path, "--labels", f"has {len(texts)} rows, and there are {count} images: a row for each, in order")
    return Labels(tuple(_class(path, text, names, num_classes) for text in texts), f"from {printable(path.name)}")


def array_labels(labels: NDArray[Any], count: int, num_classes: int | None, source: str) -> Labels:
    """Class indices of ``count`` images, from integers [count] or [count, 1]. Raises InputError for anything else."""
    flat = labels.reshape(-1) if labels.size == count else labels
    if flat.shape != (count,) or flat.dtype.kind not in "iu":
        given = f"{labels.dtype} {list(labels.shape)}"
        raise InputError("labels-file", f"the labels of {source} are {given}: integers [{count}] are needed")
    least, most = int(flat.min(initial=0)), int(flat.max(initial=0))
    if least < 0 or (num_classes and most >= num_classes):
        end = f"0 to {num_classes - 1}" if num_classes else "0 and above"
        raise InputError("labels-file", f"the labels of {source} run from {least} to {most}: the classes are {end}")
    return Labels(tuple(flat.tolist()), f"from {source}")


def _class(path: Path, text: str, names: Sequence[str] | None, num_classes: int | None) -> int:
    try:
        return class_index(text, names, num_classes)
    except LookupError as reason:
        why = str(reason).replace("the folder's", "the").replace("the folder", "the label")
        raise _unfit(path, "--labels", f"does not label: {why}") from None


def _rows(path: Path) -> list[list[str]]:
    text = _text(path, "--labels")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        return [row for row in csv.reader(text.splitlines(), delimiter=separator) if any(row)]
    except csv.Error as error:
        raise _unfit(path, "--labels", f"is no CSV ({printable(error)})") from error


def _text(path: Path, flag: str) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _unfit(path, flag, f"has more than {_MOST_BYTES:,} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unfit(path, flag, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unfit(path, flag, "is no text in UTF-8") from error


def _unfit(path: Path, flag: str, why: str) -> InputError:
    text = f"{flag} {printable(path)} {why}"
    return InputError("labels-file", text) if flag == "--labels" else InputError("classes-file", text)
