"""Which picture sizes a network takes is asked once a size, whatever sizes a study has beside it."""

from pathlib import Path
from typing import Any

from isobatch.models.spec.words import Network
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.prepare import in_worker
from isobatch.pipeline.prepare.crossing import SizesAsked
from isobatch.pipeline.prepare.sizes import _refusals
from isobatch.pipeline.prepare.state import Stages


def test_a_size_that_was_asked_in_another_study_is_not_asked_again(tmp_path: Path) -> None:
    asked: list[tuple[tuple[int, int], ...]] = []

    def call(function: str, payload: dict[str, Any], label: str) -> Any:
        asked.append(SizesAsked.of(payload).sizes)
        return in_worker.refused_sizes(payload, lambda event: None)

    nothing: Any = None
    stages = Stages(Config(("fp32",)), nothing, tmp_path, nothing, nothing, nothing)
    stages.call = call  # type: ignore[method-assign]
    network = Network("alexnet", "", "0" * 64, 10)
    both = _refusals(stages, network, [(64, 64), (16, 16)])
    assert both[64, 64] is None and "too small" in str(both[16, 16])
    assert _refusals(stages, network, [(16, 16), (96, 96)]) == {(16, 16): both[16, 16], (96, 96): None}
    assert asked == [((64, 64), (16, 16)), ((96, 96),)]
    (damaged,) = [file for file in (tmp_path / "sizes").iterdir() if "too small" in file.read_text()]
    damaged.write_text("[]")
    assert _refusals(stages, network, [(16, 16)]) == {(16, 16): both[16, 16]}
    assert asked[2:] == [((16, 16),)]
