"""The doctor's findings on machines that are not this one, and once on this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from isobatch.models.machine.crossing import DeviceSaid, TorchSaid
from isobatch.models.registry import all_variants
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.tools.doctor import examine as machine
from isobatch.pipeline.tools.doctor.findings import (
    DoctorFinding,
    Probes,
    compiler_findings,
    device_findings,
    isa_findings,
    normalised,
    package_findings,
    read_pins,
    resource_findings,
    settings_findings,
    storage_findings,
    variant_findings,
)
from tests.in_process import lending

ROOT = Path(__file__).resolve().parents[4]
PINS = read_pins((ROOT / "requirements.txt").read_text())
OPTIONAL = dict(required.split("==") for row in all_variants() for required in row.requires)
INSTALLED = {**PINS, "torch": f"{PINS['torch']}+cpu", **OPTIONAL}
FLAGS = frozenset({"avx2", *(feature for row in all_variants() for feature in row.native_isa)})
HEALTHY = Probes(
    torch=TorchSaid({"torch": "AVX512"}, ("fbgemm", "onednn", "x86"), {"A": "1"}),
    saturates={"fbgemm": False, "onednn": False, "x86": False},
)


def variants(
    probes: Probes = HEALTHY, flags: frozenset[str] = FLAGS, installed: Mapping[str, str] = INSTALLED
) -> dict[str, DoctorFinding]:
    return {finding.name: finding for finding in variant_findings(all_variants(), flags, PINS, installed, probes)}


def states(findings: Mapping[str, DoctorFinding], state: str) -> set[str]:
    return {name for name, finding in findings.items() if finding.state == state}


def test_on_a_whole_machine_every_variant_is_in_order() -> None:
    findings = variants()
    assert states(findings, "ok") == {row.name for row in all_variants()} and len(findings) > 10


def test_an_optional_variant_without_its_package_is_no_fault() -> None:
    findings = variants(installed={name: version for name, version in INSTALLED.items() if name != "torchao"})
    assert states(findings, "limited") == {"int8-pt2e"} and not states(findings, "missing")
    assert findings["int8-pt2e"].remedy == "pip install -c requirements.txt torchao==0.18.0"
    older = variants(installed=INSTALLED | {"torchao": "0.17.0"})["int8-pt2e"]
    assert older.state == "limited" and "0.17.0" in older.text
    required = [replace(row, optional=False) for row in all_variants() if row.name == "int8-pt2e"]
    assert variant_findings(required, FLAGS, PINS, PINS, HEALTHY)[0].state == "missing"
    (without_the_file,) = variant_findings(required, FLAGS, {}, PINS, HEALTHY)
    assert without_the_file.remedy == "pip install torchao==0.18.0"


def test_a_missing_runtime_takes_its_variants_and_those_made_from_its_graphs() -> None:
    findings = variants(installed={name: version for name, version in INSTALLED.items() if name != "onnxruntime"})
    assert states(findings, "missing") == {row.name for row in all_variants() if row.runtime != "torch"}
    assert findings["ort-int8"].remedy == "pip install -c requirements.txt onnxruntime"


def test_a_runtime_that_dies_is_named_with_its_reason() -> None:
    findings = variants(replace(HEALTHY, clipping=(), errors={"onnxruntime": "its worker was ended by SIGILL"}))
    assert states(findings, "missing") == {row.name for row in all_variants() if row.runtime == "onnxruntime"}
    assert "SIGILL" in findings["ort-fp32"].text


def test_engines_that_torch_lacks_or_that_crash() -> None:
    without = TorchSaid({}, ("qnnpack",), {})
    named = {row.name for row in all_variants() if "engine" in row.recipe}
    findings = variants(replace(HEALTHY, torch=without))
    assert states(findings, "missing") == named and "it has qnnpack" in findings["int8-x86"].text
    crashed = variants(replace(HEALTHY, errors={"fbgemm": "its worker was ended by SIGSEGV"}))
    assert states(crashed, "missing") == {"int8-fbgemm"}


def test_emulated_and_saturating_arithmetic_is_a_reservation() -> None:
    emulated = variants(flags=frozenset({"avx2"}))
    assert states(emulated, "limited") == {row.name for row in all_variants() if row.native_isa}
    assert "fp16" in states(emulated, "limited") and not states(emulated, "missing")
    clipping = replace(HEALTHY, saturates=dict.fromkeys(HEALTHY.saturates, True), clipping=("QLinearConv",))
    findings = variants(clipping)
    assert states(findings, "limited") == {
        "int8-fbgemm",
        "int8-x86",
        "int8-onednn",
        "int8-dynamic",
        "ort-int8",
        "ort-int8-qoperator",
    }
    assert "reduce_range" in findings["int8-fbgemm"].text and "reduce_range" not in findings["int8-onednn"].text


def test_what_is_compiled_needs_a_compiler_and_nothing_else_does() -> None:
    compiled = {row.name for row in all_variants() if row.compiled}
    findings = variants(replace(HEALTHY, lacking=("there is no C++ compiler (g++)", "apt-get install g++")))
    assert states(findings, "limited") == compiled and not states(findings, "missing")
    assert {findings[name].remedy for name in compiled} == {"apt-get install g++"}
    (there,) = compiler_findings(replace(HEALTHY, compiler="g++ 12.2.0"))
    (absent,) = compiler_findings(replace(HEALTHY, lacking=("there is no C++ compiler (g++)", "apt-get install g++")))
    assert (there.state, there.text) == ("ok", "g++ 12.2.0")
    assert (absent.state, absent.remedy) == ("limited", "apt-get install g++")


def test_pins_are_compared_without_the_build_s_suffix() -> None:
    assert [finding.state for finding in package_findings(PINS, INSTALLED)] == ["ok"]
    other = package_findings(PINS, {**INSTALLED, "torch": "2.12.0+cpu"})
    assert [(finding.name, finding.state) for finding in other] == [("torch", "limited")]
    assert "2.12.0+cpu" in other[0].text and PINS["torch"] in other[0].text
    absent = package_findings(PINS, {})
    assert {finding.name for finding in absent} == set(PINS)
    assert [finding.state for finding in package_findings({}, INSTALLED)] == ["limited"]


def test_pins_are_read_from_requirements() -> None:
    assert read_pins("# a\nml_dtypes == 1.0 # why\n\nfree\nTorch==2\n") == {"ml-dtypes": "1.0", "torch": "2"}
    assert normalised("Vl.Convert__Python") == "vl-convert-python"


def test_a_cap_of_the_caller_is_told() -> None:
    findings = isa_findings("AVX2, FMA", {"ONEDNN_MAX_CPU_ISA": "SSE41"}, HEALTHY)
    assert [(finding.name, finding.state) for finding in findings] == [
        ("instruction sets", "ok"),
        ("torch", "ok"),
        ("ONEDNN_MAX_CPU_ISA", "limited"),
    ]
    assert isa_findings("aarch64", {}, HEALTHY)[0].state == "limited"


def test_a_gpu_is_named_and_a_machine_without_one_is_in_order() -> None:
    facts = {"GPU": "NVIDIA H100 80GB HBM3", "driver": "580.65"}
    (there,) = device_findings(replace(HEALTHY, device=DeviceSaid(facts)), all_variants())
    assert "NVIDIA H100" in there.text and "580.65" in there.text and "fp32, fp16 and bf16" in there.text
    why = DeviceSaid(why="torch is built without CUDA", remedy="use another build")
    (absent,) = device_findings(replace(HEALTHY, device=why), all_variants())
    assert (there.state, absent.state) == ("ok", "ok") and "built without CUDA" in absent.text
    (crashed,) = device_findings(replace(HEALTHY, errors={"GPU": "its worker was ended by SIGSEGV"}), all_variants())
    assert "SIGSEGV" in crashed.text


@pytest.mark.parametrize(
    ("wanted", "libc", "state"),
    [({"A": "1"}, "glibc 2.36", "ok"), ({"A": "2"}, "glibc 2.36", "missing"), ({"A": "1"}, "", "limited")],
)
def test_settings_of_workers(wanted: dict[str, str], libc: str, state: str) -> None:
    assert [finding.state for finding in settings_findings(wanted, libc, HEALTHY)] == [state]
    assert settings_findings(wanted, libc, Probes()) == []


@pytest.mark.parametrize(
    ("quota", "memory", "expected"),
    [(None, 16 << 30, ["ok", "ok"]), (1.5, 16 << 30, ["limited", "ok"]), (4.0, 1 << 30, ["ok", "limited"])],
)
def test_resources(quota: float | None, memory: int, expected: list[str]) -> None:
    assert [finding.state for finding in resource_findings(2, quota, memory)] == expected


def test_storage() -> None:
    findings = storage_findings([("a", True, 10**12), ("b", True, 10**6), ("c", False, 10**12)])
    assert [finding.state for finding in findings] == ["ok", "limited", "missing"]


def test_a_place_that_does_not_exist_yet_is_judged_by_where_it_would_be(tmp_path: Path) -> None:
    name, writable, free = machine._place("out/", tmp_path / "not" / "yet")
    assert writable and free > 0 and "not/yet" in name and not (tmp_path / "not").exists()
    (tmp_path / "file").write_text("")
    assert machine._place("out/", tmp_path / "file" / "out")[1] is False


def test_of_a_package_that_is_there_twice_the_one_that_is_imported_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tmp_path / "numpy-0.0.1.dist-info" / "METADATA"
    described.parent.mkdir()
    described.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert machine._installed()["numpy"] == "0.0.1"


def test_this_machine_is_examined_by_real_workers(
    launchers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "Workers", lending(launchers))
    said: list[str] = []
    examined = machine.examine(said.append)
    assert said and not list(tmp_path.iterdir())
    by_name = {finding.name: finding for finding in examined}
    assert {row.name for row in all_variants()} <= set(by_name)
    assert by_name["fp32"].state == "ok" and by_name["torch"].state in ("ok", "limited")
    assert all(finding.text for finding in examined)


def test_a_torch_that_cannot_be_imported_is_an_answer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # the launcher's children look there first
    probes = machine._probe({"OMP_NUM_THREADS": "1"})
    assert "no torch here" in probes.errors["torch"] and probes.errors["onnxruntime"]
    findings = variants(probes)
    assert states(findings, "missing") >= {"fp32", "int8-x86", "ort-fp32"}
