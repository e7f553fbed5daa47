from dataclasses import replace

import pytest

from isobatch.models.registry import find_variant
from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.config import conditions
from isobatch.pipeline.config.conditions import Caps, GridPoint, base_of, why_not
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.machine.environment import available_cores, cpu_flags
from isobatch.pipeline.machine.isa_caps import CAPS, flags_under
from isobatch.pipeline.prepare.device import probe_caps
from isobatch.pipeline.processes.pool import Workers

READ = {"torch": "AVX2", "oneDNN": "Intel AVX2, jit:avx2", "MKL": "bits a", "FBGEMM": "AVX2", "onnxruntime": "bits b"}
GRID = Config(("fp32",), threads=(1,), isa=("native", "sse4"), memory_format=("contiguous", "channels_last"))


def reason(variant: str, point: GridPoint, caps: Caps) -> tuple[str, str] | None:
    return why_not(find_variant(variant), point, GRID, caps)


def test_a_cap_is_measured_where_some_library_reads_back_otherwise() -> None:
    caps = Caps({"native": READ, "sse4": READ | {"oneDNN": "Intel SSE4.1, jit:sse41"}})
    assert reason("fp32", GridPoint(1, "sse4"), caps) is None
    refused = reason("ort-fp32", GridPoint(1, "sse4"), caps)
    assert refused is not None
    assert refused[0] == "isa sse4"
    assert "the cap sse4 has no effect on onnxruntime" in refused[1]


def test_a_cap_that_moves_only_bits_counts_as_reached() -> None:
    caps = Caps({"native": READ, "sse4": READ | {"onnxruntime": "bits c"}})
    assert reason("ort-int8", GridPoint(1, "sse4"), caps) is None
    assert reason("fp32", GridPoint(1, "sse4"), caps) is not None


def test_where_a_cap_comes_first_what_it_does_not_reach_is_priced_without_it() -> None:
    grid = replace(GRID, isa=("sse4", "native"))
    caps = Caps({"native": READ, "sse4": READ | {"oneDNN": "Intel SSE4.1, jit:sse41"}})
    assert base_of(grid, find_variant("fp32"), caps).isa == "sse4"
    assert base_of(grid, find_variant("ort-fp32"), caps).isa == "native"
    assert base_of(grid, find_variant("ort-fp32"), Caps()).isa == "sse4"  # nothing was asked yet


def test_emulated_arithmetic_is_measured_where_the_first_cap_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "cpu_flags", lambda: frozenset({"avx2"}))
    grid = replace(GRID, isa=("avx2", "native"))
    caps = Caps({"native": READ, "avx2": READ})
    refused = why_not(find_variant("bf16"), GridPoint(1, "avx2"), grid, caps)
    assert refused is not None and "no effect" in refused[1]
    assert why_not(find_variant("bf16"), GridPoint(1), grid, caps) is None


def test_a_cap_alone_that_does_not_reach_a_runtime_says_what_would() -> None:
    grid = replace(GRID, isa=("sse4",))
    refused = why_not(find_variant("ort-fp32"), GridPoint(1, "sse4"), grid, Caps({"native": READ, "sse4": READ}))
    assert refused is not None and refused[1].endswith("with --isa native,sse4 it is measured without the cap too")


def test_a_cap_above_the_processor_is_never_asked_for() -> None:
    caps = Caps({"native": READ}, {"sse4": "unavailable: this processor has no sse4_2"})
    assert reason("fp32", GridPoint(1, "sse4"), caps) == ("isa sse4", "unavailable: this processor has no sse4_2")


@pytest.mark.parametrize(("variant", "why"), [("ort-fp32", "chooses its own layouts"), ("fp16", "by its recipe")])
def test_a_memory_format_that_cannot_act_is_measured_once(variant: str, why: str) -> None:
    assert reason(variant, GridPoint(1), Caps()) is None
    refused = reason(variant, GridPoint(1, memory_format="channels_last"), Caps())
    assert refused is not None and why in refused[1]
    assert reason("fp32", GridPoint(1, memory_format="channels_last"), Caps()) is None


def test_emulated_arithmetic_is_measured_under_the_base_setting_only(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = replace(GRID, threads=(1, 2))
    monkeypatch.setattr(conditions, "cpu_flags", lambda: frozenset({"avx2"}))
    assert why_not(find_variant("bf16"), GridPoint(2), grid, Caps()) is None
    refused = why_not(find_variant("bf16"), GridPoint(1), grid, Caps())
    assert refused is not None and refused[0] == "1 thread"
    assert refused[1].endswith("bf16 arithmetic is emulated and slow; it is measured under 2 threads")
    assert why_not(find_variant("fp32"), GridPoint(1), grid, Caps()) is None
    monkeypatch.setattr(conditions, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert why_not(find_variant("bf16"), GridPoint(1), grid, Caps()) is None


def test_options_of_a_device_that_cannot_act_are_measured_once() -> None:
    on = GridPoint(1, cuda=CudaOptions(tf32="on"))
    grid = replace(GRID, device="cuda", cuda=(CudaOptions(), CudaOptions(tf32="on")))
    refused = why_not(find_variant("bf16"), on, grid, Caps())
    assert refused is not None and refused[0] == "tf32 on" and "no effect" in refused[1]
    assert why_not(find_variant("fp32"), on, grid, Caps()) is None
    last = GridPoint(1, memory_format="channels_last", cuda=CudaOptions())
    assert why_not(find_variant("bf16"), last, grid, Caps()) is None  # its recipe's format is for the CPU


def test_features_under_a_cap_are_those_below_it() -> None:
    flags = frozenset({"sse4_2", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"})
    assert flags_under("native", flags) == flags
    assert flags_under("avx512", flags) == {"sse4_2", "avx2", "avx512f"}
    assert flags_under("avx2", flags) == {"sse4_2", "avx2"}
    assert flags_under("sse4", flags) == {"sse4_2"}


def test_nothing_is_asked_for_a_native_study() -> None:
    with Workers(60.0) as workers:
        assert probe_caps(Config(("fp32",), threads=(1,)), workers) == Caps()


def test_real_libraries_are_asked_under_a_cap_and_never_under_one_above_the_processor(launchers: Workers) -> None:
    above = [isa for isa, cap in CAPS.items() if not cpu_flags().issuperset(cap.needs)]
    asked = ("native", "sse4", *above)
    caps = probe_caps(Config(("fp32",), threads=(available_cores(),), isa=asked), launchers)
    assert set(caps.seen) | set(caps.reasons) == set(asked)
    assert set(caps.reasons) == set(above)
    if "avx2" in cpu_flags():  # else there is nothing below native to be capped to
        assert caps.seen["sse4"]["torch"] == "DEFAULT"
        assert caps.seen["sse4"]["oneDNN"] != caps.seen["native"]["oneDNN"]
