"""Where to put the names beside the marks of a picture so that they do not cover one another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

CHARACTER_PX = 6.4
"""Mean width of a character at the labels' size, on the generous side: every reader's font is another one."""
_LINE_PX = 14.0
_MARK_PX = 8.0
_GAP_PX = 4.0


@dataclass(frozen=True)
class Label:
    """A label's place: its anchor in pixels, and which of its sides lies there."""

    x: float
    y: float
    align: Literal["left", "right", "center"]


def room_for(names: Iterable[str], limit: int) -> float:
    """Pixels that an axis leaves for these names, ``limit`` at most: the engine measures them in a font of its own."""
    return min(limit, CHARACTER_PX * max(map(len, names), default=0) + _MARK_PX)


Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


def _overlap(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _options(x: float, y: float, text_px: float) -> list[tuple[Label, Box]]:
    beside, above, half = _MARK_PX + _GAP_PX, _MARK_PX + _LINE_PX / 2 + 1, _LINE_PX / 2
    options: list[tuple[Label, Box]] = []
    for dy in (0.0, -above, above, -above - _LINE_PX, above + _LINE_PX):
        level = y + dy
        right, left = x + beside, x - beside
        options.append((Label(right, level, "left"), (right, level - half, right + text_px, level + half)))
        options.append((Label(left, level, "right"), (left - text_px, level - half, left, level + half)))
        if dy:
            options.append((Label(x, level, "center"), (x - text_px / 2, level - half, x + text_px / 2, level + half)))
    return options


def place(
    marks: Sequence[tuple[float, float, str]], width: float, height: float, obstacles: Sequence[Box] = ()
) -> list[Label]:
    """One label for each mark (x and y in pixels from the top left, and its text), in the same order.

    Greedy: each label takes the first place, right of its mark before left, above and below, that covers no mark,
    obstacle, earlier label or edge; where none is free, the one that covers least.
    """
    taken = [*obstacles, *((x - _MARK_PX, y - _MARK_PX, x + _MARK_PX, y + _MARK_PX) for x, y, _ in marks)]
    labels: list[Label] = []
    for x, y, text in marks:
        text_px = CHARACTER_PX * len(text)

        def covered(option: tuple[Label, Box]) -> float:
            box = option[1]
            outside = (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, (0.0, 0.0, width, height))
            return outside + sum(_overlap(box, other) for other in taken)

        label, box = min(_options(x, y, text_px), key=covered)
        labels.append(label)
        taken.append(box)
    return labels
