"""ONNX graphs that mix images, branch or draw: named at the right node for the right reason, twins never."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from isobatch.models.user_networks import open_network
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.origins import explain_origins
from tests.models.ort.mixing_onnx import GRAPHS

SIZES = [2, 4, 7, 8]
IMAGES: NDArray[np.float32] = np.random.default_rng(2).standard_normal((8, 3, 8, 8), np.float32)


def looked_into(model: onnx.ModelProto) -> tuple[Located, dict[str, Explanation]]:
    with open_network(model, 1) as runner:
        located = locate(runner, IMAGES, SIZES, 0)  # type: ignore[arg-type]
        return located, explain_origins(runner, located, IMAGES, 1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_node_that_is_to_blame_is_named_with_its_cause(name: str) -> None:
    planted = GRAPHS[name]
    located, explained = looked_into(planted.model)
    named = {origin.layer.name: explained[origin.layer.name].mechanism for origin in located.origins}
    assert named == {planted.layer: planted.mechanism}


@pytest.mark.parametrize("name", GRAPHS)
def test_its_innocent_twin_is_not_accused(name: str) -> None:
    located, _ = looked_into(GRAPHS[name].twin)
    assert located.origins == []


def test_a_branch_of_a_graph_is_named_at_the_n_where_it_is_taken() -> None:
    located, explained = looked_into(GRAPHS["branch"].model)
    assert located.origins[0].batch_sizes == [7, 8]
    found = next(finding for finding in explained["chosen"].causes if finding.name == "different-branch")
    assert found.evidence.startswith("From N = 7 on: where few is ")
