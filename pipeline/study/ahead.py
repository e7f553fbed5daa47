"""What the stages of a study are expected to take, from what is known of them so far."""

from collections.abc import Sequence

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.certify.stage import limit_s
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.race.stage import usual_s
from isobatch.pipeline.records.study import VariantResult
from isobatch.pipeline.study.explain import EXPLAINED
from isobatch.pipeline.study.labelled import labelled_cost
from isobatch.pipeline.study.worth_repairing import ONCE_S, explaining_cost

_LAST_REPORT_S = 3.0
_WITH_TIES = 1.4  # times the seconds of a range's batches, as layers are put on rounding ties too
_CHOSEN = "int8-x86"  # of what is verified at last nobody knows yet; it is one of the fastest


def foresee(stages: Stages, known: tuple[str, Images] | None, results: Sequence[VariantResult] | None = None) -> None:
    """Say in ``stages.outlook`` what each stage to come is expected to take.

    ``known``: the labelled images. ``results``: the verdicts, once they are there; until then those variants are
    expected to differ whose kernels usually do.
    """
    config, outlook = stages.config, stages.outlook
    outlook.expect("accuracy", labelled_cost(stages, *known) if known else 0.0)
    if config.explain != "none":
        if results is None:
            differing = [spec.name for spec in stages.specs if _usually_differs(stages, spec)]
        else:
            differing = [result.name for result in results if result.verdict in EXPLAINED]
        there = [name for name in differing if (name, stages.sets[-1].record.name) in stages.artifacts]
        alone = baseline(config)
        if config.quick:  # of the others it is not known yet whether a repair of them may be chosen
            there = [name for name in there if name == alone]
        each = [explaining_cost(stages, name, stages.sets[-1], hopeless=name != alone) for name in there]
        once_s = ONCE_S * len(each)
        outlook.expect("explanation", sum(each) - once_s, seconds=once_s)
    outlook.expect("race", seconds=usual_s(config))
    outlook.expect("range", seconds=_LAST_REPORT_S)
    if config.certify:
        images = max(config.certify) + 2 * sum(config.certify)
        size = stages.sets[-1].evaluation.side
        range_s = min(limit_s(config), _WITH_TIES * cost(find_variant(_CHOSEN), images, size))
        outlook.expect("range", range_s, seconds=_LAST_REPORT_S)


def _usually_differs(stages: Stages, spec: VariantSpec) -> bool:
    """Of a variant without a verdict: torch's float kernels, and scales taken from the batch, usually depend on N."""
    if spec.role != "candidate" or stages.emulated(spec):
        return False
    return not spec.calibrated if spec.precision == "int8" else spec.runtime == "torch"
