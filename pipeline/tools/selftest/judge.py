"""From what the self-test found to what it says: pure functions."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

from isobatch.models.planted import Fault
from isobatch.models.spec.plain import to_plain
from isobatch.pipeline.records.errors import Exit, worst
from isobatch.pipeline.records.wording import listed
from isobatch.pipeline.tools.selftest.crossing import Examined, Innocence

State = Literal["found", "missed", "not checked"]
NOTHING = "unexplained"


@dataclass(frozen=True)
class Outcome:
    """What became of one planted fault."""

    fault: Fault
    state: State
    why: str
    examined: Examined | None = None  # None where it could not be looked for

    @property
    def mechanism(self) -> str:
        """The mechanism named at the fault's layer."""
        explanation = self.examined and self.examined.explained
        return explanation.mechanism if explanation else NOTHING

    @property
    def triggers(self) -> tuple[str, ...]:
        """The triggers named at the fault's layer."""
        explanation = self.examined and self.examined.explained
        return explanation.triggers if explanation else ()


@dataclass(frozen=True)
class SelfTest:
    """Everything the self-test says."""

    outcomes: tuple[Outcome, ...]
    innocence: Innocence | None
    innocence_failed: str | None  # why it could not be checked
    threads: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Strict JSON values."""
        return {
            "outcomes": [
                to_plain(outcome) | {"mechanism": outcome.mechanism, "triggers": list(outcome.triggers)}
                for outcome in self.outcomes
            ],
            "innocence": self.innocence and asdict(self.innocence) | {"upper95": self.innocence.upper95},
            "innocence_failed": self.innocence_failed,
            "threads": self.threads,
            "seed": self.seed,
        }


def judged(fault: Fault, examined: Examined, built: Collection[str]) -> Outcome:
    """Whether this fault was found in its layer, nowhere else, and named. ``built``: the causes that exist."""
    expected = [word for word in (fault.mechanism, fault.trigger) if word]
    if fault.layer not in examined.named:
        return Outcome(fault, "missed", f"no difference was found in {fault.layer}", examined)
    if others := [name for name in examined.named if name != fault.layer]:
        return Outcome(fault, "missed", f"{listed(others)} was named as well, and depends on nothing", examined)
    outcome = Outcome(fault, "found", "", examined)
    given = {outcome.mechanism if fault.mechanism else "", *outcome.triggers}
    if not (lacking := [word for word in expected if word not in given]):
        return outcome
    if unbuilt := [word for word in lacking if word not in built]:
        return Outcome(fault, "not checked", f"no cause named {listed(unbuilt)} is built in", examined)
    instead = listed([outcome.mechanism, *outcome.triggers])
    return Outcome(fault, "missed", f"{listed(lacking)} was expected, and {instead} named", examined)


def exit_code(test: SelfTest) -> Exit:
    """Done; not met where a fault was missed or an innocent network accused; partial where something did not run."""
    codes = [Exit.DONE]
    if any(outcome.state == "missed" for outcome in test.outcomes) or (test.innocence and test.innocence.accused):
        codes.append(Exit.NOT_MET)
    if any(outcome.state == "not checked" for outcome in test.outcomes) or test.innocence_failed:
        codes.append(Exit.PARTIAL)
    return worst(*codes)
