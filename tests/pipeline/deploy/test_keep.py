"""What a study keeps of its artifacts for ``deploy``."""

from pathlib import Path
from typing import Any

from isobatch.pipeline.config.conditions import Caps
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.deploy.keep import setting_of
from isobatch.pipeline.prepare.state import Stages


def test_the_setting_is_the_one_that_the_variant_was_measured_under(tmp_path: Path) -> None:
    config = Config(("fp32", "ort-fp32"), threads=(1, 2), isa=("avx2", "native"))
    nothing: Any = None  # of what is not asked here
    stages = Stages(config, nothing, tmp_path, nothing, nothing, nothing)
    stages.caps = Caps({"native": {"torch": "AVX512"}, "avx2": {"torch": "AVX2"}})
    kept = {name: setting_of(stages, name) for name in config.variants}
    assert [(setting.isa, setting.runner.threads) for setting in kept.values()] == [("avx2", 2), ("native", 2)]
    assert "ATEN_CPU_CAPABILITY" in kept["fp32"].environment
    assert "ATEN_CPU_CAPABILITY" not in kept["ort-fp32"].environment
