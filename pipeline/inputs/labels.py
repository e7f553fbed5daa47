"""From a folder's name to a class index of the weights under study."""

from __future__ import annotations

from collections.abc import Sequence

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


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
