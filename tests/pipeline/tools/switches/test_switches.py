"""Switches turned and read back in the real libraries, and what is said of a planted dependence on N."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rich.console import Console, Group

from isobatch.models.ort.session import open_session
from isobatch.models.ort.session import read_back as read_ort
from isobatch.models.ort.session import turned as turned_ort
from isobatch.models.pytorch.switches import mkl_mode, read_back, turned
from isobatch.models.registry import find_variant
from isobatch.models.spec.words import RunnerSettings
from isobatch.pipeline.inputs.storing import store_images
from isobatch.pipeline.machine.switches import ORT, SWITCHES, TORCH, switches_of
from isobatch.pipeline.race.in_worker import Opened
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.study import Environment, Interval, Tool
from isobatch.pipeline.tools.switches import in_worker
from isobatch.pipeline.tools.switches.crossing import Held, SwitchAsked
from isobatch.pipeline.tools.switches.measure import AS_SHIPPED, asked
from isobatch.pipeline.tools.switches.records import SwitchesReport, SwitchResult, VariantSwitches
from isobatch.reports.blocks import Paragraph, Table
from isobatch.reports.pages.switches import blocks
from isobatch.reports.screen.rich_blocks import to_renderable
from tests.fakes import NO_ARTIFACT
from tests.models.ort.small_onnx import classifier
from tests.models.pytorch.small_networks import OneUlpWhenBatched, opened, pixels, with_planted


def of_options(runtime: str) -> list[Any]:
    return [switch for switch in switches_of(runtime) if switch.options]


@pytest.mark.parametrize("switch", of_options(TORCH), ids=lambda each: each.name)
def test_a_switch_of_torch_is_read_back_as_asked_and_put_back(switch: Any) -> None:
    before = read_back()
    with turned(dict(switch.options)) as read:
        assert read(None)[switch.reads] == switch.expected != before[switch.reads]
    assert read_back() == before


@pytest.mark.parametrize("switch", of_options(ORT), ids=lambda each: each.name)
def test_a_switch_of_onnxruntime_is_read_back_from_the_session(switch: Any) -> None:
    class Runner:
        def __init__(self) -> None:
            self.session = open_session(classifier().SerializeToString(), 1)

        def live_session(self) -> Any:
            return self.session

    shipped = read_ort(Runner())
    with turned_ort(dict(switch.options)) as read:
        assert read(Runner())[switch.reads] == switch.expected != shipped[switch.reads]
    assert read_ort(Runner()) == shipped


def test_mkl_tells_its_mode_where_there_is_mkl() -> None:
    mode = mkl_mode()
    assert (mode is None) is not torch.backends.mkl.is_available()
    assert "MKL_CBWR" not in read_back() or read_back()["MKL_CBWR"] == mode


def test_every_switch_names_a_runtime_of_a_variant_and_a_way_to_ask() -> None:
    assert len({each.name for each in SWITCHES}) == len(SWITCHES)
    assert all(asked(each) != "nothing" and each.runtimes for each in SWITCHES) and asked(AS_SHIPPED) == "nothing"
    assert {switch.name for switch in switches_of(TORCH, compiled=True)} > {
        switch.name for switch in switches_of(TORCH)
    }
    assert find_variant("fp32").runtime == TORCH and find_variant("ort-fp32").runtime == ORT


@pytest.mark.parametrize(("planted", "differs"), [(OneUlpWhenBatched, True), (torch.nn.Identity, False)])
def test_the_property_is_judged_by_the_passes_of_a_verdict(
    planted: Callable[[], torch.nn.Module], differs: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = store_images("drawn", tmp_path / "drawn", iter(pixels(4)))
    with opened(with_planted(planted())) as runner:
        monkeypatch.setattr(in_worker, "opened", lambda payload, stack: Opened(runner, runner))
        turned: dict[str, Any] = {"runtime": TORCH, "options": {"mkldnn": False}, "batch_sizes": (2, 4)}
        asks = SwitchAsked("fp32", RunnerSettings(1), NO_ARTIFACT, images, images, None, most=4, **turned)
        wanted = asks.to_json()
        held = Held.of(in_worker.hold(wanted, lambda event: None))
        again = Held.of(in_worker.hold(wanted, lambda event: None))
    assert held.read["oneDNN"] == "off" and held == again
    assert any(held.differing.values()) is differs
    assert set(held.differing) == {2, 4} and held.comparisons >= 4
    assert len(held.singles) == 64 and not any(held.flipped.values())


def result(name: str, **more: Any) -> SwitchResult:
    fields: dict[str, Any] = {"switch": name, "asked": "option", "holds": True, "repeatable": True, "set": True}
    return SwitchResult(**(fields | {"read_back": "it: on", "moves_bits": False} | more))


def report(*results: SwitchResult) -> SwitchesReport:
    environment = Environment(
        cpu="a CPU",
        cores=2,
        memory_bytes=1,
        os="Linux",
        python="3.11",
        isa_hardware="AVX2",
        isa_effective={},
        threads=2,
        packages={"torch": "2.13"},
    )
    variant_switches = VariantSwitches(
        variant="fp32",
        runtime="torch",
        status="measured",
        inputs="digits",
        n_images=4,
        image_size=(64, 64),
        results=results,
    )
    return SwitchesReport(
        tool=Tool(version="0"),
        environment=environment,
        model="small",
        weights="random",
        threads=2,
        batch_sizes=[2, 4],
        variants=[variant_switches],
    )


def test_the_table_says_what_was_asked_read_back_and_found() -> None:
    ratio = {"4": Interval(median=1.25, low95=1.2, high95=1.31, n=10)}
    rows, times = tables(
        report(
            result("as shipped", asked="nothing", holds=False, differing_at=(4,), moves_bits=None),
            result("it = on", ratio=ratio, moves_bits=True),
            result("it = off", set=False),
            result("mode", set=None, read_back=None),
            result("odd", repeatable=False, holds=False),
            result("broken", status="failed", reason="no such operation"),
        )
    )
    assert rows[0] == ("as shipped", None, "no: N = 4", None)
    assert rows[1] == ("it = on", "it: on", "yes", "yes")
    assert times == (("it = on", "4", "1.25 x (1.20 to 1.31)"),)
    assert rows[2][1] == "could not be set; it: on"
    assert rows[3][1] == "cannot be read back, no effect seen"
    assert rows[4][2] == "no: not repeatable"
    assert rows[5][2] == "failed"


def tables(switches_report: SwitchesReport) -> list[tuple[tuple[str | None, ...], ...]]:
    shown = [block for block in blocks(switches_report) if isinstance(block, Table)]
    assert all(len(row) == len(table.columns) for table in shown for row in table.rows)
    return [table.rows for table in shown]


def test_no_word_is_broken_on_a_terminal_of_80_columns() -> None:
    ratio = dict.fromkeys(("1", "16"), Interval(median=1.02, low95=0.97, high95=1.09, n=10))
    switches_report = report(
        *(result(each.name, read_back=f"{each.reads}: {each.expected}", ratio=ratio) for each in SWITCHES)
    )
    console = Console(width=80)
    with console.capture() as kept:
        console.print(Group(*(to_renderable(block) for block in blocks(switches_report) if isinstance(block, Table))))
    shown = kept.get().split()
    every = [text for rows in tables(switches_report) for row in rows for text in row if text]
    assert {word for text in every for word in text.split()} <= {*shown}


def test_what_could_not_be_run_ends_in_three_and_is_named() -> None:
    whole, part = report(result("it")), report(result("it", status="failed", reason="no such operation"))
    assert (whole.exit_code(), part.exit_code()) == (Exit.DONE, Exit.PARTIAL)
    assert any(isinstance(block, Paragraph) and "no such operation" in str(block) for block in blocks(part))
    gone = VariantSwitches(variant="bf16", runtime="torch", status="unavailable", reason="no such arithmetic")
    lost = part.model_copy(update={"variants": [gone]})
    assert lost.exit_code() == Exit.PARTIAL and not any(isinstance(block, Table) for block in blocks(lost))
