"""What of a study is still to come, stage by stage: for the estimate of the time left, and for a budget."""

from dataclasses import dataclass, field

ORDER = ("evidence", "accuracy", "explanation", "race", "range")
"""The stages that take more than moments, as a study runs them."""


@dataclass(frozen=True)
class After:
    """What follows the stage that is running."""

    cost: float = 0.0  # in rough seconds, which the pace so far scales
    seconds: float = 0.0  # that no pace changes, as those of a race


NOTHING = After()


@dataclass
class Outlook:
    """What each stage is expected to take, as far as is known by now."""

    expected: dict[str, After] = field(default_factory=dict)

    def expect(self, stage: str, cost: float = 0.0, seconds: float = 0.0) -> None:
        """Say what a stage is expected to take, in place of what was said before."""
        assert stage in ORDER
        self.expected[stage] = After(cost, seconds)

    def after(self, stage: str) -> After:
        """What the stages behind this one are expected to take together."""
        later = [self.expected[name] for name in ORDER[ORDER.index(stage) + 1 :] if name in self.expected]
        return After(sum(later_stage.cost for later_stage in later), sum(later_stage.seconds for later_stage in later))
