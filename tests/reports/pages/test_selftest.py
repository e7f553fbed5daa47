"""How the self-test is shown, and the command that runs it."""

import argparse
import io
import json

import pytest
from rich.console import Group

import isobatch.reports.commands.selftest as command
from isobatch.models.planted import find_fault
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.tools.selftest.crossing import Accused, Examined, Innocence
from isobatch.pipeline.tools.selftest.judge import FaultOutcome, SelfTest, judged
from isobatch.reports.pages.selftest import blocks
from isobatch.reports.screen.rich_blocks import to_renderable
from isobatch.reports.screen.terminal import WIDTH, console_for


def outcome(name: str, layer: str, mechanism: str, *triggers: str) -> FaultOutcome:
    causes = [{"name": mechanism, "verdict": "supported", "evidence": f"seen in {layer}"}]
    explained = Explanation.of({"mechanism": mechanism, "triggers": triggers, "causes": causes})
    built = {"wrong-row", "rounding-order", "thread-partition", "dynamic-scale"}
    return judged(find_fault(name), Examined((layer,), explained), built)


def selftest() -> SelfTest:
    outcomes = (
        outcome("swapped-rows", "pool", "wrong-row"),
        outcome("threads", "hidden", "rounding-order", "thread-partition"),
        outcome("batch-scale", "hidden", "unexplained"),
        FaultOutcome(find_fault("cast"), "not checked", "its worker was ended by SIGKILL"),
    )
    accused = Innocence(200, (Accused(7, ("fc",)),), 1800, 10**6)
    return SelfTest(outcomes, accused, None, 2, 42069)


def shown(verbose: bool) -> str:
    stream = io.StringIO()
    console_for(stream).print(Group(*map(to_renderable, blocks(selftest(), verbose))))
    return stream.getvalue()


def test_every_fault_has_a_row_a_state_and_a_reason() -> None:
    text = shown(verbose=False)
    assert max(map(len, text.splitlines())) <= WIDTH
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "✓ found" in rows["swapped-rows"]
    assert "✓ found" in rows["threads"]
    assert "× missed" in rows["batch-scale"] and "? not checked" in rows["cast"]
    assert "dynamic-scale was expected, and unexplained named" in text
    assert "its worker was ended by SIGKILL" in text
    assert "2 of 4 planted faults found and named, 1 missed, 1 not checked." in text
    assert "seen in pool" not in text


def test_accusations_are_listed_with_the_bound() -> None:
    text = " ".join(shown(verbose=False).split())
    assert "1 were accused" in text
    assert "95 % confidence" in text and "seed 7: fc" in text


def test_verbose_shows_the_evidence() -> None:
    assert "wrong-row supported: seen in pool" in shown(verbose=True)


def test_the_json_is_strict() -> None:
    said = json.loads(json.dumps(selftest().to_json(), allow_nan=False))
    assert (said["outcomes"][2]["fault"]["mechanism"], said["outcomes"][2]["mechanism"]) == (
        "dynamic-scale",
        "unexplained",
    )
    assert said["innocence"]["trials"] == 200


@pytest.mark.parametrize(
    "flags, text",
    [
        (["--faults", "one-ulps"], "did you mean 'one-ulp'"),
        (["--trials", "-1"], "is not a whole number of at least 0"),
        (["--seed", "x"], "is not a whole number of at least 0"),
    ],
)
def test_bad_flags_are_one_clear_line(flags: list[str], text: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(UsageError, match=text):
        command.run(parser.parse_args(flags))
