"""From the names of folders to class indices: an index, a class name, or the place in an order."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobatch.pipeline.inputs.listing import left_out_folder
from isobatch.pipeline.inputs.request import SetsAsked, printable

SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval", "dev")
_ORDERS = {"text": "their names as text, as torchvision's ImageFolder sorts", "number": "their numbers"}
_REMEDY = "--class-order text takes the folders in torchvision's order, --classes FILE says which class has which name"
_WORDNET = re.compile(r"(n\d{8})[\s,:|]+(.+)")  # ImageNet's own names of classes, as its lists write them


@dataclass(frozen=True)
class Labels:
    """One class index for each image, and how it was told: ``folder names as class indices``."""

    classes: tuple[int, ...]
    how: str


def labels_of_folders(root: Path, files: Sequence[Path], request: SetsAsked) -> Labels:
    """One label for each file below ``root``, from the folder that it lies in; -1 for a file in the root itself.

    Raises LookupError with the reason where a folder names no class, and what would label all the same.
    """
    parents = {file.parent for file in files} - {root}
    if request.class_order is not None:
        place = _depth(root, files)
        names = {parent: parent.relative_to(root).parts[min(place, _deep(root, parent) - 1)] for parent in parents}
        order = class_order(_folders(root, files, place), request.class_order, request.num_classes)
        classes, how = (
            {parent: order[name] for parent, name in names.items()},
            f"folders in the order of {_ORDERS[request.class_order]}",
        )
    else:
        limit = one_more(parents, request.num_classes)
        try:
            classes = {parent: class_index(parent.name, request.class_names, limit) for parent in sorted(parents)}
        except LookupError as reason:
            raise LookupError(f"{reason}; {_REMEDY}") from None
        indices = all(_is_index(parent.name) for parent in parents)
        how = "folder names as class indices" if indices else "folder names as class names"
    return Labels(tuple(classes.get(file.parent, -1) for file in files), how)


def mixed_splits(root: Path, files: Sequence[Path]) -> str | None:
    """What to say where training and test pictures lie side by side below ``root``; None where they do not."""
    tops = sorted({file.relative_to(root).parts[0] for file in files if file.parent != root})
    splits = [name for name in tops if name.lower() in SPLITS]
    if len(splits) < 2:
        return None
    given = " and ".join(printable(name) for name in splits)
    return (
        f"holds {given} side by side, and pictures of both are measured: accuracy on pictures that the network was "
        f"trained on says little; give one of them, such as --inputs {printable(root / splits[-1])}"
    )


def _deep(root: Path, folder: Path) -> int:
    return len(folder.relative_to(root).parts)


def _depth(root: Path, files: Sequence[Path]) -> int:
    """How many folders lie above those that name classes: 1 where they are parts of a split data set, else 0."""
    tops = {file.relative_to(root).parts[0] for file in files if file.parent != root}
    deep = all(_deep(root, file.parent) > 1 for file in files if file.parent != root)
    return int(bool(tops) and deep and all(name.lower() in SPLITS for name in tops))


def _folders(root: Path, files: Sequence[Path], place: int) -> list[str]:
    """The names of the folders that name classes, those without pictures too, as ImageFolder does."""
    above = [root] if place == 0 else sorted({root / file.relative_to(root).parts[0] for file in files})
    used = {file.relative_to(root).parts[place] for file in files if _deep(root, file.parent) > place}
    return sorted(
        used
        | {path.name for top in above for path in top.iterdir() if path.is_dir() and not left_out_folder(path.name)}
    )


def class_index(folder: str, class_names: Sequence[str] | None, num_classes: int | None) -> int:
    """The class that ``folder`` names: an index, or a class name (case, "_" and "-" do not matter).

    Raises LookupError with the reason when it names none, or more than one.
    """
    if _is_index(folder):
        classes = len(class_names) if class_names else num_classes
        if classes is not None and int(folder) >= classes:
            raise LookupError(f"the folder's class index {int(folder)} lies outside 0 to {classes - 1}")
        return int(folder)
    if not class_names:
        raise LookupError(f"the folder {printable(folder)!r} is no class index, and these weights name no classes")
    fitting = [index for index, name in enumerate(class_names) if _plain(folder) in _names(name)]
    if not fitting:
        raise LookupError(f"the folder {printable(folder)!r} is neither a class index nor a class name of the weights")
    if len(fitting) > 1:
        raise LookupError(f"the folder {printable(folder)!r} names the classes {fitting}: use one of these indices")
    return fitting[0]


def class_order(folders: Sequence[str], order: str, num_classes: int | None) -> dict[str, int]:
    """The class of each folder by its place among all: ``text``, as torchvision's ImageFolder sorts, or ``number``.

    Raises LookupError with the reason where they are no numbers, or more than the network has classes.
    """
    if order == "number" and (words := [name for name in folders if not _is_index(name)]):
        raise LookupError(f"--class-order number, and the folder {printable(words[0])!r} is no number")
    if num_classes and len(folders) > num_classes:
        raise LookupError(f"--class-order {order}: {len(folders)} folders, and the network has {num_classes} classes")
    key = int if order == "number" else str
    return {name: place for place, name in enumerate(sorted(folders, key=key))}


def one_more(folders: Iterable[Path], num_classes: int | None) -> int | None:
    """The classes to expect of folders that are numbers: one more where they are 1 to ``num_classes``.

    Such labels are kept as they are, so that the study can say which order the network has.
    """
    names = [path.name for path in folders]
    numbered = num_classes is not None and all(map(_is_index, names))
    if numbered and num_classes is not None and {min(map(int, names)), max(map(int, names))} == {1, num_classes}:
        return num_classes + 1
    return num_classes


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _names(name: str) -> set[str]:
    """What a class may be called: its name, and of ``n01440764 tench, Tinca tinca`` each of the three."""
    if match := _WORDNET.fullmatch(name.strip()):
        return {_plain(name), _plain(match[1]), _plain(match[2]), *map(_plain, match[2].split(","))}
    return {_plain(name)}


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
