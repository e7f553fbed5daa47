"""A folder of pictures: every jpeg, png, webp and bmp below it, labelled where its sub-folders name classes."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.images import View
from isobatch.pipeline.inputs.choose import Candidates, Choice, Unusable
from isobatch.pipeline.inputs.decode import SUFFIXES, decode
from isobatch.pipeline.inputs.labels import class_index, class_order, one_more
from isobatch.pipeline.inputs.own import Own, choose_own, store_own
from isobatch.pipeline.inputs.request import InputsRequest, Labelled, PreparedSet, printable
from isobatch.pipeline.inputs.storing import digest, part_name, store_images

Skipped = list[dict[str, str]]


@dataclass(frozen=True)
class _Pictures:
    """The picture files below ``root``, by index, as candidates and with their labels."""

    root: Path
    files: list[Path]
    size: int
    view: View

    def read(self, index: int) -> NDArray[Any]:
        return decode(self.files[index], self.size, self.view)

    def name(self, index: int) -> str:
        return printable(self.files[index].relative_to(self.root))

    def usable(self, index: int) -> bool:
        try:
            self.read(index)
        except Unusable:
            return False
        return True

    def labels(self, request: InputsRequest) -> tuple[int, ...]:
        """One label per file: the class named by the folder it lies in. Raises LookupError with the reason why not.

        A file directly in the root counts only where it is a usable picture; its label is never used where it is not.
        """
        loose = [index for index, file in enumerate(self.files) if file.parent == self.root]
        if picture := next((self.name(index) for index in loose if self.usable(index)), None):
            raise LookupError(f"{picture} lies in no sub-folder")
        parents = {file.parent for file in self.files} - {self.root}
        if request.class_order is not None:
            order = class_order(_folders(self.root, self.files), request.class_order, request.num_classes)
            classes = {parent: order[parent.relative_to(self.root).parts[0]] for parent in parents}
        else:
            limit = one_more(parents, request.num_classes)
            classes = {parent: class_index(parent.name, request.class_names, limit) for parent in parents}
        return tuple(classes.get(file.parent, -1) for file in self.files)


def prepare_folder(request: InputsRequest, folder: Path) -> PreparedSet:
    """Pictures spread over the sorted list of those below ``folder``. Raises InputError when none is usable."""
    root = folder.resolve()
    files, skipped = list_pictures(root)
    pictures = _Pictures(root, files, request.image_size, request.view)
    candidates = Candidates(len(files), pictures.read, pictures.name)
    own = Own("folder", printable(root.name) or "folder", printable(folder), candidates, tuple(skipped))
    choice = choose_own(own, request)
    size, view = request.image_size, request.view
    cut = f"short side resized to {view.short_side(size)} pixels ({view.interpolation}), centre of {size} cut out"
    try:
        labels = pictures.labels(request)
    except LookupError as reason:
        return store_own(own, request, choice, None, f"{cut}; unlabelled: {reason}")
    prepared = store_own(own, request, choice, labels, cut)
    return replace(prepared, labelled=partial(_labelled, own, request, choice, labels))


def _labelled(own: Own, request: InputsRequest, choice: Choice, labels: tuple[int, ...]) -> Labelled:
    """All usable pictures that do not calibrate, distinct by content."""
    kept: list[int] = []
    skipped: Skipped = []
    seen = set(choice.calibration.values())

    def rows() -> Iterator[NDArray[Any]]:
        for index in range(own.candidates.count):
            if index in choice.calibration:
                continue
            try:
                row = own.candidates.read(index)
            except Unusable as error:
                skipped.append({"file": own.candidates.name(index), "why": str(error)})
                continue
            content = digest(row)
            if content in seen:
                skipped.append({"file": own.candidates.name(index), "why": "same picture as one already used"})
                continue
            seen.add(content)
            kept.append(labels[index])
            yield row

    path = request.folder / "folder-labelled.u8"
    images = store_images(part_name(own.name, "labelled"), path, rows(), request.view)
    return Labelled(replace(images, labels=tuple(kept)), tuple(skipped))


def list_pictures(root: Path) -> tuple[list[Path], Skipped]:
    """The regular files below ``root`` with a picture's suffix, sorted by path, and what was left out and why.

    No file is opened. What is hidden (its name begins with a dot) is left out: thumbnails, and what macOS puts beside
    each file. Links to folders are not followed; links to files count where they stay below ``root``.
    """
    files: list[Path] = []
    skipped: Skipped = []
    others: Counter[str] = Counter()

    def leave_out(path: str | Path, why: str) -> None:
        skipped.append({"file": printable(os.path.relpath(path, root)), "why": why})

    def unreadable(error: OSError) -> None:
        leave_out(error.filename, f"unreadable folder: {error.strerror}")

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        for path in (Path(folder, name) for name in sorted(subfolders)):
            if path.name.startswith("."):
                leave_out(path, "a hidden folder")
            elif os.path.islink(path):
                leave_out(path, "a link to a folder: not followed")
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for path in (Path(folder, name) for name in names):
            if path.suffix.lower() not in SUFFIXES:
                others[path.suffix.lower()] += 1
            elif path.name.startswith("."):
                leave_out(path, "a hidden file: rename it if it is meant")
            elif why := _refused(path, root):
                leave_out(path, why)
            else:
                files.append(path)
    for suffix, count in others.items():
        skipped.append({"file": printable(f"*{suffix}"), "why": f"{count} not named as jpeg, png, webp or bmp"})
    return sorted(files, key=os.fsencode), sorted(skipped, key=lambda entry: entry["file"])


def _folders(root: Path, files: list[Path]) -> list[str]:
    """The names of the folders directly in the root, hidden ones left out unless a picture lies in them."""
    used = {file.relative_to(root).parts[0] for file in files if file.parent != root}
    return sorted(used | {one.name for one in root.iterdir() if one.is_dir() and one.name[0] not in "._"})


def _refused(path: Path, root: Path) -> str | None:
    try:
        mode = path.lstat().st_mode
    except OSError as error:  # a path too long for the system, or a file that is gone
        return f"unreadable: {error.strerror}"
    if stat.S_ISLNK(mode):
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return "a link to nothing"
        if not target.is_relative_to(root):
            return "a link that leaves the folder"
        mode = target.stat().st_mode
    return None if stat.S_ISREG(mode) else "not a regular file"
