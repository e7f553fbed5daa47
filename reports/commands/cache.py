"""``cache info|clear``: what is kept between studies, and removing it."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from isobatch import PROGRAM
from isobatch.reports.commands import Command

if TYPE_CHECKING:
    from isobatch.pipeline.storage.cache import Part


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do."""
    parser.add_argument("action", choices=("info", "clear"), help="info: where, how much, how old; clear: remove it")


def run(arguments: argparse.Namespace) -> int:
    """Print what there is, or what was removed."""
    from isobatch.pipeline.records.errors import Exit
    from isobatch.pipeline.storage.cache import clear, parts_held, used_by_a_study
    from isobatch.pipeline.storage.places import cache_root

    root = cache_root()
    if arguments.action == "info":
        parts, used = parts_held(root), used_by_a_study(root)
        facts = {"folder": str(root), "used_by_a_study": used, "parts": [asdict(part) for part in parts]}
        state = "in use by a running study" if used else "not in use"
        lines = [f"{root} ({state})", *_rows(parts), f"{PROGRAM} cache clear removes it"]
    else:
        cleared = clear(root)
        kept = [{"what": what, "why": why} for what, why in cleared.kept]
        facts = {"folder": str(root), "removed": [asdict(part) for part in cleared.parts], "kept": kept}
        lines = [f"removed from {root}:", *_rows(cleared.parts)]
        lines += [f"kept {what}: {why}" for what, why in cleared.kept]
    print(json.dumps(facts, indent=1) if arguments.json else "\n".join(lines))
    return Exit.DONE


def _rows(parts: tuple[Part, ...]) -> list[str]:
    from isobatch.reports.numbers import counted, size

    width = max(len(part.holds) for part in parts)
    rows = [
        f"  {part.name:<11} {part.holds:<{width}} {counted(part.entries, 'entry', 'entries'):>11} "
        f"{size(part.size_bytes):>9}{_since(part.oldest)}"
        for part in parts
    ]
    entries = counted(sum(part.entries for part in parts), "entry", "entries")
    total = f"  {'all':<{12 + width}} {entries:>11} {size(sum(part.size_bytes for part in parts)):>9}"
    return [*rows, total]


def _since(oldest: float | None) -> str:
    return "" if oldest is None else time.strftime("  oldest %Y-%m-%d %H:%M UTC", time.gmtime(oldest))


COMMAND = Command(
    usage="info|clear",
    summary="what the cache holds, or remove all of it; it is built again when needed",
    add_arguments=add_arguments,
    run=run,
)
