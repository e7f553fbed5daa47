"""What a study asks of the workers that gather evidence and predict classes, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class JobAsked(Crossing):
    """One evidence job: the passes over one input set, and the ``file`` that takes what was seen.

    ``timed``: whether calls run ahead so that times become a price; ``whole``: of a part, the id of the job it is of.
    """

    inputs: str
    artifact: Artifact
    images: Images
    passes: tuple[Pass, ...]
    timed: bool
    whole: str
    file: str


@dataclass(frozen=True)
class JobsAsked(Crossing):
    """The jobs of one variant that one worker runs in turn.

    ``isa``: what each library read back under the cap of this environment; ``clips``: of how many images values at the
    clip limits are counted; ``device``: the facts of a device that is not the CPU.
    """

    variant: str
    settings: RunnerSettings
    isa: Mapping[str, str]
    round: int
    clips: int
    device: Mapping[str, str]
    outcome: Outcome
    jobs: tuple[JobAsked, ...]


@dataclass(frozen=True)
class RowsAsked(Crossing):
    """A variant opened to run some images: those at ``indices``, ``batch_size`` at a time."""

    variant: str
    settings: RunnerSettings
    artifact: Artifact
    images: Images
    indices: tuple[int, ...] = ()
    batch_size: int = 1
    outcome: Outcome = CLASSES


@dataclass(frozen=True)
class Predicted(Crossing):
    """The predicted class of each image, in the order asked for, and how clear each is.

    ``classes``: the first of equal logits wins. ``margins``: the largest logit minus the second, over the row's largest
    |logit|; 0 where that is no number. ``outputs``: how many classes there are. ``batch_size``: the N they are of.
    """

    classes: tuple[int, ...]
    batch_size: int
    margins: tuple[float, ...] = ()
    outputs: int = 0

    def and_then(self, more: Self) -> Self:
        """These and those of the images that followed, in the drawn order."""
        outputs = max(self.outputs, more.outputs)
        return replace(self, classes=self.classes + more.classes, margins=self.margins + more.margins, outputs=outputs)
