"""What a file is that is not a state dict: its kind in a word, and how to make weights of it."""

import re
import zipfile
from pathlib import Path
from typing import NamedTuple

PART = re.compile(r"(?!-00001-of-00001)-\d{5}-of-\d{5}(?=\.)")
"""What the name of one of several files has that hold the weights of one network together."""

LIST = ".index.json"
"""What the name of the list of such files ends with."""

_MEANT = (".onnx", ".safetensors", LIST, ".bin", ".pth", ".pt", ".ckpt")
_SHOWN = 3
_MOST_PICKLE_BYTES = 64 << 20
_MAGIC = (
    (b"\x89HDF", "an HDF5 file, as Keras writes", "torch cannot read it: export the network to ONNX and give --onnx"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch the file with git lfs pull"),
    (b"<!DOCTYPE", "a web page", "download the file itself, not the page that leads to it"),
    (b"<html", "a web page", "download the file itself, not the page that leads to it"),
    (b"GGUF", "a GGUF file of a language model", "give the network's own state dict"),
)


class Kind(NamedTuple):
    """``what`` it is, and what to do."""

    what: str
    todo: str


def other_kind(path: Path) -> Kind | None:
    """What this file is, where that is known and no state dict. Nothing in it is run. None otherwise."""
    with open(path, "rb") as file:
        begins = file.read(64).lstrip()
    for magic, what, todo in _MAGIC:
        if begins.lower().startswith(magic.lower()):
            return Kind(what, todo)
    if path.suffix == ".onnx":
        return Kind("an ONNX file", f"give it as --onnx {path.name}")
    return _archive(path) if zipfile.is_zipfile(path) else None


def in_folder(folder: Path) -> str:
    """What to do where a folder is given: the files in it that may be meant."""
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(_MEANT) and not PART.search(file.name))
    meant = f": {' or '.join(names[:_SHOWN])}" if names else ", which holds none that ends as such files do"
    return f"{folder} is a folder: give the file of the network or its weights in it{meant}"


def _as_program(loads: str, path: Path) -> str:
    return (
        "to run it, give nets:make in its place, where nets.py holds 'import torch' and "
        f"make = {loads}({path.name!r}); for its tensors alone"
    )


def _archive(path: Path) -> Kind | None:
    saved = "weights.pth"
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
            pickles = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
            small = len(pickles) == 1 and pickles[0].file_size <= _MOST_PICKLE_BYTES
            content = archive.read(pickles[0]) if small else b""
    except Exception:  # damaged, and zipfile raises anything then: said by what reads it next
        return None
    if "constants.pkl" in names:
        return Kind(
            "a TorchScript file, which holds a program beside its tensors",
            f"{_as_program('torch.jit.load', path)}, torch.save(torch.jit.load({path.name!r}).state_dict(), {saved!r})",
        )
    if any("serialized_exported_program" in name or name == "archive_format" for name in names):
        return Kind(
            "an exported program of torch.export",
            f"{_as_program('torch.export.load', path)}, torch.save(dict(torch.export.load({path.name!r}).state_dict), "
            f"{saved!r})",
        )
    if names and all(name.endswith(".npy") for name in names):
        return Kind(
            "an archive of numpy's arrays",
            f"save them as tensors: torch.save({{k: torch.tensor(v) for k, v in numpy.load({path.name!r}).items()}}, "
            f"{saved!r})",
        )
    if b"_parameters" in content and b"_modules" in content:
        return Kind(
            "a whole pickled module, which runs code of its classes while it loads, and only tensors may load here",
            f"if you trust it, save its tensors where its classes are installed: torch.save(torch.load({path.name!r}, "
            f"weights_only=False).state_dict(), {saved!r})",
        )
    return None
