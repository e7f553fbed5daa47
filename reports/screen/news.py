"""What a stage found out, said on the screen as soon as the stage is over."""

from collections.abc import Iterator

from isobatch.pipeline.records.study import Study, VariantResult
from isobatch.reports import numbers, views
from isobatch.reports.speeds import throughput


class News:
    """Says each thing once, of the studies that it is shown one after another."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def of(self, study: Study) -> list[str]:
        """Lines on what this record tells, and none before it did: answers, origins and repairs, the race."""
        every = [*_answers(study), *_origins(study), *_race(study)]
        new = [text for text in every if text not in self._said]
        self._said.update(new)
        return new


def _answers(study: Study) -> Iterator[str]:
    shares = {v.name: (v.agreement.share, v.agreement.n) for v in views.candidates(study) if v.agreement}
    if shares and study.reference:
        yield f"agreement with {study.reference}: {_from_to(shares)}"
    right = {v.name: (v.accuracy.top1, v.accuracy.n) for v in views.candidates(study) if v.accuracy}
    if right:
        yield f"top-1 accuracy: {_from_to(right)}"


def _from_to(shares: dict[str, tuple[float, int]]) -> str:
    """The least and the largest share, with whose they are, and of how many examples."""
    order = sorted(shares, key=lambda name: shares[name][0])
    counts = sorted({n for _, n in shares.values()})
    ends = dict.fromkeys((order[0], order[-1]))
    said = " to ".join(f"{numbers.short_percent(shares[name][0])} ({name})" for name in ends)
    return f"{said}; {views.listing(map(numbers.count, counts))} examples"


def _origins(study: Study) -> Iterator[str]:
    repaired = views.repaired_variants(study)
    for variant in study.variants:
        if not (origins := variant.origins):
            continue
        text = f"{variant.name}: the difference starts in {views.listing([origin.layer for origin in origins], 3)}"
        if holding := [known.name for known in repaired if known.name.startswith(f"{variant.name}+")]:
            text += f"; repaired as {views.listing(holding)}"
        yield text


def _race(study: Study) -> Iterator[str]:
    if study.race is None:
        return
    by_name = {v.name: v for v in (*study.variants, *views.repaired_variants(study))}
    raced = [contestant.variant for contestant in study.race.contestants if contestant.variant in by_name]
    speeds = [(name, _images_s(study, by_name[name])) for name in raced]
    order = sorted(((name, speed) for name, speed in speeds if speed), key=lambda pair: -pair[1])
    if order:
        said = ", ".join(f"{name} {numbers.rate(speed)}" for name, speed in order)
        yield f"race over {numbers.counted(study.race.rounds, 'round')}, img/s: {said}; the choice comes next"


def _images_s(study: Study, variant: VariantResult) -> float | None:
    speed = throughput(study, variant)
    return speed.interval.median if speed and not speed.mark else None  # marked: not raced
