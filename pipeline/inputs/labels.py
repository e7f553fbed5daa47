"""From a folder's name to a class index of the weights under study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from isobatch.pipeline.inputs.request import printable


def class_index(folder: str, class_names: Sequence[str] | None, num_classes: int | None) -> int:
    """The class that ``folder`` names: an index, or a class name (case, "_" and "-" do not matter).

    Raises LookupError with the reason when it names none, or more than one.
    """
    if folder.isascii() and folder.isdigit():
        classes = len(class_names) if class_names else num_classes
        if classes is not None and int(folder) >= classes:
            raise LookupError(f"the folder's class index {int(folder)} lies outside 0 to {classes - 1}")
        return int(folder)
    if not class_names:
        raise LookupError(f"the folder {printable(folder)!r} is no class index, and these weights name no classes")
    found = [index for index, name in enumerate(class_names) if _plain(name) == _plain(folder)]
    if not found:
        raise LookupError(f"the folder {printable(folder)!r} is neither a class index nor a class name of the weights")
    if len(found) > 1:
        raise LookupError(f"the folder {printable(folder)!r} names the classes {found}: use one of these indices")
    return found[0]


def class_order(folders: Sequence[str], order: str, num_classes: int | None) -> dict[str, int]:
    """The class of each folder by its place among all: ``text``, as torchvision's ImageFolder sorts, or ``number``.

    Raises LookupError with the reason where they are no numbers, or more than the network has classes.
    """
    if order == "number" and (words := [name for name in folders if not (name.isascii() and name.isdigit())]):
        raise LookupError(f"--class-order number, and the folder {printable(words[0])!r} is no number")
    if num_classes and len(folders) > num_classes:
        raise LookupError(f"--class-order {order}: {len(folders)} folders, and the network has {num_classes} classes")
    key = int if order == "number" else str
    return {name: place for place, name in enumerate(sorted(folders, key=key))}


def one_more(folders: Iterable[Path], num_classes: int | None) -> int | None:
    """The classes to expect of folders that are numbers: one more where they are 1 to ``num_classes``.

    Such labels are kept as they are, so that the study can say which order the network has.
    """
    names = [one.name for one in folders]
    numbered = num_classes is not None and all(name.isascii() and name.isdigit() for name in names)
    if numbered and num_classes is not None and {min(map(int, names)), max(map(int, names))} == {1, num_classes}:
        return num_classes + 1
    return num_classes


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
