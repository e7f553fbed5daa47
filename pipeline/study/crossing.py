"""What a study asks of the workers that gather evidence and predict classes, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.processes.wire import Crossing


@dataclass(frozen=True)
class JobAsked(Crossing):
    """One evidence job: the passes over one input set."""

    inputs: str
    artifact: Artifact
    images: Images
    passes: tuple[Pass, ...]
    timed: bool  # whether calls run ahead so that times become a price
    whole: str  # of a part, the id of the job it is of
    file: str  # it takes what was seen


@dataclass(frozen=True)
class JobsAsked(Crossing):
    """The jobs of one variant that one worker runs in turn."""

    variant: str
    settings: RunnerSettings
    isa: Mapping[str, str]  # what each library read back under the cap of this environment
    round: int
    clips: int  # of how many images values at the clip limits are counted
    device: Mapping[str, str]  # the facts of a device that is not the CPU
    outcome: Outcome
    jobs: tuple[JobAsked, ...]


@dataclass(frozen=True)
class RowsAsked(Crossing):
    """A variant opened to run the images at ``indices``."""

    variant: str
    settings: RunnerSettings
    artifact: Artifact
    images: Images
    indices: tuple[int, ...] = ()
    batch_size: int = 1
    outcome: Outcome = CLASSES


@dataclass(frozen=True)
class Predicted(Crossing):
    """The predicted class of each image, in the order asked for, and how clear each is."""

    classes: tuple[int, ...]  # the first of equal logits wins
    batch_size: int  # the N they are of
    # The largest logit minus the second, over the row's largest |logit|; 0 where that is no number.
    margins: tuple[float, ...] = ()
    outputs: int = 0  # how many classes there are

    def and_then(self, more: Self) -> Self:
        """These and those of the images that followed, in the drawn order."""
        outputs = max(self.outputs, more.outputs)
        return replace(self, classes=self.classes + more.classes, margins=self.margins + more.margins, outputs=outputs)
