"""The graphs that were compiled for a variant."""

from isobatch.pipeline.records.study import GraphMade
from isobatch.reports.blocks import Table
from isobatch.reports.sections.recipes import blocks
from tests.reports.studies import full


def test_graphs_are_listed_with_what_runs_where() -> None:
    study = full()
    first, *rest = [variant for variant in study.variants if variant.effective]
    assert first.effective is not None
    assert len(blocks(study)) == 1
    graphs = [
        GraphMade(images="1", size=(64, 48), seconds=12.5, operations={"C++": 3, "mkl._mkl_linear": 1}),
        GraphMade(images="2 or more", size=(64, 48), seconds=8.25, operations={}),
    ]
    compiled = first.model_copy(update={"effective": first.effective.model_copy(update={"graphs": graphs})})
    _, table = blocks(study.model_copy(update={"variants": [compiled, *rest]}))
    assert isinstance(table, Table)
    assert table.rows == (
        (first.name, "1", "64 x 48", "12.5", "C++ (3), mkl._mkl_linear (1)"),
        (first.name, "2 or more", "64 x 48", "8.25", None),
    )
