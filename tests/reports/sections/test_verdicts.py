"""What the table of the verdicts leaves out."""

from isobatch.reports.blocks import Table
from isobatch.reports.sections.verdicts import blocks
from tests.reports.studies import full


def test_exposed_images_are_not_shown_where_no_margin_screens() -> None:
    study = full()
    bare = [
        variant.model_copy(
            update={"by_inputs": [judged.model_copy(update={"margin": None}) for judged in variant.by_inputs]}
        )
        for variant in study.variants
    ]
    for shown, there in ((study, True), (study.model_copy(update={"variants": bare}), False)):
        (table,) = blocks(shown)
        assert isinstance(table, Table)
        assert ("Exposed images" in [column.title for column in table.columns]) is there
        assert ("Exposed:" in table.caption) is there
