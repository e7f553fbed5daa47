"""The screen of ``check``: how many examples its answers are about."""

from isobatch.pipeline.records.study import Tool
from isobatch.pipeline.tools.check.records import CheckReport, VariantChecked
from isobatch.pipeline.user.results import BatchSize
from isobatch.reports.pages.checked import markdown, screen


def at(batch_size: int, images: int, max_abs: float, flips: int) -> BatchSize:
    return BatchSize(
        batch_size=batch_size,
        n_images=images,
        n_images_equal=0,
        elements=10 * images,
        elements_differing=images,
        max_abs=max_abs,
        max_abs_relative=max_abs,
        flips=flips,
    )


def report_of(variant: VariantChecked) -> CheckReport:
    return CheckReport(
        tool=Tool(version="0"),
        cpu="a CPU",
        network="net",
        kind="torch",
        batch_sizes=[3, 8],
        variants=[variant],
        next="",
    )


def told(variant: VariantChecked) -> str:
    return " ".join(" ".join(screen(report_of(variant))).split())


def test_changed_answers_are_counted_at_the_n_at_which_most_changed() -> None:
    sizes = (at(3, 6, 0.5, 2), at(8, 8, 0.25, 7))
    text = told(VariantChecked(variant="fp32", status="measured", verdict="batch-variant", sizes=sizes, mixes=False))
    assert "up to 0.5, 0.5 of the largest output; at N = 3: 6 of 6 examples" in text
    assert "another place in 7 of 8 examples" in text


def test_as_markdown_it_says_what_the_screen_does() -> None:
    variant = VariantChecked(variant="fp32", status="measured", verdict="batch-variant", sizes=(at(8, 8, 0.5, 7),))
    text = markdown(report_of(variant))
    assert text.startswith("### × net, fp32: NOT batch-invariant at N = 8\n\n- **how far**: up to 0.5")
    assert "largest output stands in another place in 7 of 8 examples" in text
