"""A folder of pictures: every jpeg, png, webp and bmp below it, labelled where its sub-folders name classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.images import Size, View, sides
from isobatch.models.spec.words import Remark
from isobatch.pipeline.inputs.choose import Candidates, Unusable
from isobatch.pipeline.inputs.decode import decode, smaller
from isobatch.pipeline.inputs.labels import Labels, labels_of_folders, mixed_splits
from isobatch.pipeline.inputs.labels_file import labels_by_name
from isobatch.pipeline.inputs.listing import list_pictures
from isobatch.pipeline.inputs.own import Own, choose_own, store_own
from isobatch.pipeline.inputs.pixels import in_words
from isobatch.pipeline.inputs.request import PreparedSet, SetsAsked, printable, set_name
from isobatch.pipeline.inputs.storing import in_channels


@dataclass(frozen=True)
class _Pictures:
    """The picture files below a folder, by index, as candidates and with their labels."""

    root: Path
    files: list[Path]
    size: Size
    view: View
    channels: int = 3

    def read(self, index: int) -> NDArray[Any]:
        return in_channels(decode(self.files[index], self.size, self.view), self.channels)

    def name(self, index: int) -> str:
        return printable(self.files[index].relative_to(self.root))

    def usable(self, index: int) -> bool:
        try:
            self.read(index)
        except Unusable:
            return False
        return True

    def labels(self, request: SetsAsked) -> Labels:
        """One label per file: that of a labels file, or the class named by the folder it lies in.

        A file directly in the root counts only where it is a usable picture; its label is never used where it is not.
        Raises LookupError with the reason where there are folders, and their names do not label.
        """
        if request.labels_file is not None:
            names = [self.files[index].relative_to(self.root).as_posix() for index in range(len(self.files))]
            return labels_by_name(Path(request.labels_file), names, request.class_names, request.num_classes)
        loose = [index for index, file in enumerate(self.files) if file.parent == self.root]
        if picture := next((self.name(index) for index in loose if self.usable(index)), None):
            raise LookupError(f"{picture} lies in no sub-folder")
        return labels_of_folders(self.root, self.files, request)


def prepare_folder(request: SetsAsked, folder: Path) -> PreparedSet:
    """Pictures spread over the sorted list of those below ``folder``. Raises InputError when none is usable."""
    root = folder.resolve()
    files, skipped = list_pictures(root)
    pictures = _Pictures(root, files, request.image_size, request.view, request.channels)
    candidates = Candidates(len(files), pictures.read, pictures.name)
    own = Own("folder", set_name(root.name) or "folder", printable(folder), candidates, tuple(skipped))
    choice = choose_own(own, request)
    cut = in_words(request.view, request.image_size)
    mixed = mixed_splits(root, files)
    warnings = [Remark("mixed-splits", f"{printable(folder)} {mixed}")] if mixed else []
    warnings += _enlarged(printable(folder), [files[index] for index in sorted(choice.evaluation)], request)
    labels = None
    try:
        labels = pictures.labels(request)
    except LookupError as reason:
        cut += f"; unlabelled: {reason}"
        if any(file.parent != root for file in files):
            warnings.append(Remark("labels-unused", f"the folders of {printable(folder)} do not label: {reason}"))
    return replace(store_own(own, request, choice, labels, cut), warnings=tuple(warnings))


def _enlarged(called: str, files: Sequence[Path], request: SetsAsked) -> list[Remark]:
    """The warning that pictures are enlarged; nothing where none is."""
    small = [size for size in (smaller(file, request.image_size) for file in files) if size]
    if not small:
        return []
    height, width = sides(request.image_size)
    wide, high = small[0]
    own_size = str(high) if high == wide else f"{high}x{wide}"
    text = (
        f"{len(small)} of the {len(files)} measured pictures of {called} are smaller than {width} x {height} pixels, "
        f"such as {wide} x {high}, and are enlarged; --image-size {own_size} takes those as they are, where the "
        "network takes that size"
    )
    return [Remark("enlarged-pictures", text)]
