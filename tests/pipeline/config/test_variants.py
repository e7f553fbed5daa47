"""What ``all`` names, and what it leaves out."""

import pytest

from isobatch.models.registry import all_variants, installed
from isobatch.pipeline.config.variants import left_out, variants_of


def test_what_all_leaves_out_is_named_with_what_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    for onnx in (False, True):
        named = variants_of("all", onnx)
        said = "\n".join(left_out(named, onnx))
        missing = [row for row in all_variants() if row.extra and not installed(row)]
        assert not {row.name for row in missing} & set(named)
        assert all((row.name in said) is not (onnx and row.runtime == "torch") for row in missing)
    assert "compile-fp32 and compile-bf16. To add them: apt-get install g++" in "\n".join(
        left_out(variants_of("all", False), False)
    )


def test_of_a_choice_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert left_out(("fp32", "ort-int8"), False) == []
