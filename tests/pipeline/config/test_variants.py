"""What ``all`` names, and what it leaves out."""

from isobatch.models.registry import all_variants, installed
from isobatch.pipeline.config.variants import left_out, variants_of


def test_what_all_leaves_out_is_named_with_what_adds_it() -> None:
    for onnx in (False, True):
        named = variants_of("all", onnx)
        said = "\n".join(left_out(named, onnx))
        missing = [row for row in all_variants() if row.extra and not row.optional and not installed(row)]
        assert not {row.name for row in missing} & set(named)
        assert all((row.name in said) is not (onnx and row.runtime == "torch") for row in missing)


def test_others_may_follow_all_and_nobody_is_named_twice() -> None:
    every = variants_of("all", False)
    assert not {"compile-fp32", "int8-pt2e"} & set(every)
    assert variants_of("all, compile-fp32,fp32", False) == (*every, "compile-fp32")


def test_of_a_choice_nothing_is_left_out() -> None:
    assert left_out(("fp32", "ort-int8"), False) == []
