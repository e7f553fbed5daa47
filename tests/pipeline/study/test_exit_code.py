"""What a study that ends tells its caller."""

import pytest

from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.study import NotRun
from isobatch.pipeline.study.exit_code import exit_code
from tests.reports import studies


@pytest.mark.parametrize(("asked", "code"), [(True, Exit.DONE), (False, Exit.PARTIAL)])
def test_a_difference_that_was_not_looked_into_counts_unless_a_flag_asked_for_that(asked: bool, code: Exit) -> None:
    study = studies.unasked()
    left_out = NotRun(inputs="seed", what="what is inside", why="it is quick", asked=asked, origins=True)
    candidates = [
        variant.model_copy(update={"origins": None, "not_run": [left_out]})
        for variant in study.variants
        if variant.role == "candidate" and variant.status == "measured"
    ]
    assert "batch-variant" in {one.verdict for one in candidates}
    config = {**study.config, "explain": "default", "isa_named": False}
    assert exit_code(study.model_copy(update={"variants": candidates, "config": config})) == code
