"""From a configuration to jobs: variant x input set x condition x round. Pure; nothing is run or read here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from isobatch.pipeline.evidence.by_value import PROBE_BATCH
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.parts import passes_within
from isobatch.pipeline.records.study import NEIGHBOURS, Condition

ROUNDS = 2
TIMED_CALLS = 2  # at least so many calls of each N a round, where a set is timed: from one call nothing can be said


@dataclass(frozen=True)
class Job:
    """One variant on one input set under one condition, in one round: a pure function of hashed inputs."""

    variant: str
    inputs: str
    condition: Condition
    round: int
    passes: tuple[Pass, ...]
    artifact_key: str
    inputs_sha256: str
    whole: str = ""  # of a part of a set: the id of the job that was cut

    @property
    def id(self) -> str:
        """24 hex digits of everything that decides the outputs."""
        fields = [
            self.variant,
            self.inputs,
            self.condition.model_dump(exclude_none=True),
            self.round,
            [p.id for p in self.passes],
            self.artifact_key,
            self.inputs_sha256,
        ]
        return sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def file_name(self) -> str:
        """The name of its evidence file: readable, unique by the hash, short whatever the user's folder is called."""
        at = self.condition
        fixed = ((at.device, "cpu"), (at.isa, "native"), (at.memory_format, "contiguous"))
        unusual = [value for value, usual in fixed if value != usual]
        part = [f"i{self.passes[0].start}"] if self.whole else []
        words = [self.inputs[:40], f"t{at.threads}", *unusual, f"r{self.round}", *part, self.id[:12]]
        return f"{'-'.join(words)}.safetensors"

    def cut(self, ranges: Sequence[tuple[int, int]]) -> list[Job]:
        """The jobs of those of these ranges of the images in which it runs any; itself where there is one range."""
        if len(ranges) == 1:
            return [self]
        within = [passes_within(self.passes, *part) for part in ranges]
        return [replace(self, passes=passes, whole=self.id) for passes in within if passes]

    @property
    def in_order(self) -> tuple[Pass, ...]:
        """The passes as this round runs them: after the singles, every second round goes backwards.

        So no N is always preceded by the same N, and equal repeats say that what ran before leaves no trace.
        """
        return self.passes if self.round % 2 == 0 else (self.passes[0], *reversed(self.passes[1:]))

    @property
    def calls(self) -> int:
        """How many times the network is called."""
        return sum((p.stop - p.start) // p.batch_size for p in self.passes)

    @property
    def images_passed(self) -> int:
        """How many images go through the network, repeats counted."""
        return sum(p.stop - p.start for p in self.passes)


def plan_passes(
    n_images: int,
    batch_sizes: Sequence[int],
    *,
    probes: bool,
    timed: bool = False,
    rotations: Sequence[int] = (1,),
    neighbours: Sequence[str] = NEIGHBOURS[:1],
) -> tuple[Pass, ...]:
    """The plan of ``--thorough``: singles, then each N as far as the set goes, then the probes.

    ``timed``: where an N has fewer than ``TIMED_CALLS`` calls, its first batch is run again.

    A ragged last batch of m images is run as evidence for N = m, unless m is 1 or is tested anyway. Images are never
    repeated to fill a batch: an N above the set's size is left out.
    """
    passes, repeats = [Pass("singles", 1, 0, n_images)], []
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    for n in tested:
        whole = n_images - n_images % n
        passes.append(Pass("batched", n, 0, whole))
        if timed and whole // n < TIMED_CALLS:
            repeats.append(Pass("repeat", n, 0, n))
        ragged = Pass("batched", max(1, n_images - whole), whole, n_images)
        if ragged.batch_size > 1 and ragged.batch_size not in tested and ragged not in passes:
            passes.append(ragged)
    if probes and tested:
        n = max((n for n in tested if n <= PROBE_BATCH), default=min(tested))
        whole = n_images - n_images % n
        passes += [Pass("position", n, 0, whole, rotation=by) for by in rotations if by % n]  # else nothing moves
        passes += [Pass("neighbours", n, 0, whole, neighbour=neighbour) for neighbour in neighbours]
    return (*passes, *repeats)  # a repeat comes after other N, which might have left something behind


def in_turn(names: Sequence[str], thorough: bool) -> list[tuple[int, str]]:
    """(round, name): both rounds of each name together, so that its verdict need not wait for the others.

    ``thorough``: every name once a round, reversed in the second, so that slow drift cancels.
    """
    if thorough:
        return [(r, name) for r in range(ROUNDS) for name in (names if r % 2 == 0 else reversed(names))]
    return [(r, name) for name in names for r in range(ROUNDS)]


def describe(job: Job) -> dict[str, Any]:
    """The job as one row of ``--dry-run``."""
    part = {"part": f"{job.passes[0].start}-{job.passes[0].stop}"} if job.whole else {}
    return {
        "variant": job.variant,
        "inputs": job.inputs,
        "threads": job.condition.threads,
        "isa": job.condition.isa,
        "memory_format": job.condition.memory_format,
        "device": " ".join(part for part in (job.condition.device, str(job.condition.cuda or "")) if part),
        "image_size": job.condition.image_size,
        "round": job.round + 1,
        "calls": job.calls,
        "images": job.images_passed,
        **part,
    }
