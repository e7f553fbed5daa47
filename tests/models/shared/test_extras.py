"""The command that adds an extra is one that works where the program runs from."""

from pathlib import Path

import pytest

from isobatch.models.registry import all_variants, how_to_add
from isobatch.models.shared import extras


def test_a_checkout_names_its_own_files() -> None:
    by_files = "make run EXTRAS=timm, or pip install -c requirements.txt -r requirements-timm.txt"
    assert extras.to_add("timm") == by_files
    assert extras.to_add("int8", "torchao==0.18.0") == "pip install -c requirements.txt torchao==0.18.0"


def test_an_installation_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "ROOT", tmp_path)
    assert extras.to_add("timm") == "pip install 'isobatch[timm]'"
    assert extras.to_add("int8", "torchao==0.18.0") == "pip install 'isobatch[int8]' torchao==0.18.0"
    (openvino, *_) = (row for row in all_variants() if row.extra == "openvino")
    assert how_to_add(openvino) == "pip install 'isobatch[openvino]'"
