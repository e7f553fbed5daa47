import pytest

from isobatch.pipeline.decide.fixed_point import answer
from isobatch.pipeline.records.study import Effective, VariantResult, Verdict
from tests.pipeline.results import integer, result

SAME = integer("ort-int8", {"seed": "batch-invariant", "digits": "batch-invariant"})
OTHER = integer("int8-x86", {"seed": "top1-stable"}, differing=5)


@pytest.mark.parametrize(
    ("variants", "verdict", "begins"),
    [
        ([SAME], "yes", "Yes, as far as tested: ort-int8 gave every image the bytes of its singles"),
        ([OTHER], "no", "No: int8-x86 changed output bytes with the batch"),
        ([SAME, OTHER], "depends", "It depends on the implementation: ort-int8 gave every image"),
        ([result("fp32", "batch-variant")], None, "No answer: no int8 variant was asked for."),
        ([], None, "No answer: no int8 variant was asked for."),
    ],
)
def test_the_answer_follows_the_int8_variants_only(
    variants: list[VariantResult], verdict: str | None, begins: str
) -> None:
    answer_record = answer([*variants, result("bf16", "batch-variant", precision="bf16")])
    assert answer_record.verdict == verdict
    assert answer_record.sentence.startswith(begins)


def test_the_sentence_states_its_scope() -> None:
    assert answer([SAME, OTHER]).sentence.endswith("(40 images of seed and 40 images of digits, N = 8; 2 threads).")


def test_the_scope_counts_all_images_though_no_n_ran_all_of_them() -> None:
    few = [comparison.model_copy(update={"n_images": 24}) for comparison in SAME.comparisons]
    some_at_each_n = SAME.model_copy(update={"comparisons": few})
    assert "(40 images of seed and 40 images of digits, N = 8;" in answer([some_at_each_n]).sentence


def test_each_variant_states_its_evidence() -> None:
    same, other = answer([SAME, OTHER]).by_variant
    assert same.invariant is True
    assert same.why == (
        "None of 800 elements differs in 2 batched comparisons (40 images of seed and 40 images of digits, N = 8; "
        "2 threads); 53 of 54 weight layers ran in int8."
    )
    assert other.invariant is False
    assert other.why == (
        "5 of 40 images and 15 of 400 elements differ, by up to 0.5 (12 steps of the output's type) "
        "(seed, N = 8, 2 threads); 53 of 54 weight layers ran in int8."
    )


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        (
            result("v", None, precision="int8", status="unavailable", reason="no such engine"),
            "Not measured (unavailable): no such engine.",
        ),
        (result("v", None, precision="int8", status="failed", reason="a crash"), "Not measured (failed): a crash."),
        (integer("v", {"seed": "invalid"}), "What v did on seed."),
        (integer("v", {"seed": "not-repeatable"}, differing=3), "What v did on seed."),
        (integer("v", {}), "No batch was run beside the singles."),
        (
            integer(
                "v",
                {"seed": "batch-invariant"},
                effective=Effective(precision="fp32", provider="cpu", int8_layers=0, weight_layers=54),
            ),
            "Not fixed point at all: 0 of 54 weight layers ran in int8.",
        ),
    ],
)
def test_what_proves_nothing_is_not_judged(variant: VariantResult, says: str) -> None:
    answer_record = answer([variant])
    assert answer_record.verdict is None
    assert (answer_record.by_variant[0].invariant, answer_record.by_variant[0].why) == (None, says)
    assert answer_record.sentence == f"No answer: v could not be judged. {says}"
    assert answer([variant, SAME]).sentence.endswith("Not judged: v.")


def test_equal_bytes_of_invalid_outputs_do_not_count_but_a_difference_does() -> None:
    mixed: dict[str, Verdict] = {"seed": "invalid", "digits": "batch-invariant"}
    equal = answer([integer("v", mixed)]).by_variant[0]
    assert equal.invariant is True
    assert "in 1 batched comparison (40 images of digits," in equal.why
    assert "seed not counted, its outputs are invalid" in equal.why
    assert answer([integer("v", {"seed": "invalid"}, differing=1)]).by_variant[0].invariant is False


def test_a_verdict_of_difference_counts_even_where_every_comparison_was_equal() -> None:
    found = answer([integer("v", {"seed": "batch-variant"})]).by_variant[0]
    assert (found.invariant, found.why) == (False, "What v did on seed.")
