"""What a report says in the place of a part that could not be written or drawn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from isobatch import PROGRAM
from isobatch.pipeline.records.wording import together
from isobatch.reports.blocks import Absent, Block, Callout, Details, Figure, line

REMEDY = f"The records are whole: {PROGRAM} render RUN writes the reports again; please report this."


def told(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = " ".join(str(error).split())
    return text if type(error).__name__ == "DrawingError" else f"{type(error).__name__}: {text}"


def in_place_of(title: str, error: Exception) -> Callout:
    """What stands where a part called ``title`` would."""
    return Callout("bad", line(f"{title}: this part could not be written: {told(error)}"), (Absent(line(REMEDY)),))


@dataclass(frozen=True)
class Lost:
    """A part of a report that is missing: which, and why."""

    what: str
    why: str


def without_pictures(
    blocks: Iterable[Block], why_not: Callable[[Figure], str | None], lost: list[Lost]
) -> tuple[Block, ...]:
    """The blocks with a sentence and the table in place of each figure that was not drawn, added to ``lost``."""
    pictures: list[Block] = []
    for block in blocks:
        if isinstance(block, Callout | Details):
            pictures.append(replace(block, blocks=without_pictures(block.blocks, why_not, lost)))
        elif isinstance(block, Figure) and (why := why_not(block)) is not None:
            lost.append(Lost(f"the picture {block.title!r}", why))
            pictures.append(Absent(line(f"The picture {block.title!r} could not be drawn: {why}. {block.description}")))
            pictures.append(Details("The values of this picture", (block.table,)))
        else:
            pictures.append(block)
    return tuple(pictures)


def listed_once(lost: Sequence[Lost]) -> list[str]:
    """One line for each reason, with the parts that it cost."""
    by_reason = together((loss.why, loss.what) for loss in lost)
    return [f"missing: {', '.join(dict.fromkeys(whats))}: {why}" for why, whats in by_reason.items()]
