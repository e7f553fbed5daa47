"""What a study keeps of its artifacts for ``deploy``."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from isobatch.models.spec.words import Artifact
from isobatch.pipeline.config.conditions import Caps
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.deploy.keep import Kept, measured_artifact, setting_of
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.errors import UsageError


def test_the_setting_is_the_one_that_the_variant_was_measured_under(tmp_path: Path) -> None:
    config = Config(("fp32", "ort-fp32"), threads=(1, 2), isa=("avx2", "native"))
    nothing: Any = None  # of what is not asked here
    stages = Stages(config, nothing, tmp_path, nothing, nothing, nothing)
    stages.caps = Caps({"native": {"torch": "AVX512"}, "avx2": {"torch": "AVX2"}})
    kept = {name: setting_of(stages, name) for name in config.variants}
    assert [(setting.isa, setting.runner.threads) for setting in kept.values()] == [("avx2", 2), ("native", 2)]
    assert "ATEN_CPU_CAPABILITY" in kept["fp32"].environment
    assert "ATEN_CPU_CAPABILITY" not in kept["ort-fp32"].environment


def test_files_as_they_were_are_found_in_the_run_then_in_the_cache_and_no_others_are_taken(tmp_path: Path) -> None:
    cache, run = tmp_path / "cache" / "artifacts" / "k", tmp_path / "run"
    kept_here = run / "artifacts" / "k"
    for folder in (cache, kept_here):
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"whole")
    nothing: Any = None  # of what is not asked here
    digests = {"model.onnx": hashlib.sha256(b"whole").hexdigest()}
    artifact = Artifact("k", tmp_path / "gone", nothing)
    kept = Kept("ort-fp32", "seed", artifact, digests, nothing, nothing, {})

    def found() -> tuple[Path, str]:
        measured, where = measured_artifact(kept, run, tmp_path / "cache")
        return measured.folder, where

    assert found() == (kept_here, "kept with the run, unchanged")
    shutil.rmtree(kept_here)  # as where no link could be made
    assert found() == (cache, "from the cache, unchanged")
    (cache / "model.onnx").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"neither in .* nor in the cache\. Run the study again"):
        found()
