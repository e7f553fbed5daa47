"""The default plan against ``--thorough``, on the same outputs: ``python -m benchmarks.plans [--only NAMES]``.

Each network is studied with ``--thorough``; of that evidence only those calls are kept which the default plan makes too
(all but its copies), and the verdict is reached again from these. Prints a Markdown table.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import timed
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.decide.verdict import ConditionTested, inputs_verdict
from isobatch.pipeline.evidence.by_value import first_round, second_round
from isobatch.pipeline.evidence.evidence import Evidence, Pass, kept_rows
from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.records.study import Condition

NETWORKS = (
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "regnet_y_400mf",
    "alexnet",
)
VARIANTS = "fp32,bf16,int8-x86,int8-dynamic,ort-fp32,ort-int8-dynamic"
IMAGES, SIDE, SIZES = 16, 64, (2, 3, 4, 8, 16)


def studied(network: str, folder: Path) -> None:
    """Run the thorough study. Raises RuntimeError where it does not end as a finished one."""
    argv = ["--model", network, "--weights", "random", "--inputs", "digits"]
    argv += ["--images", str(IMAGES), "--image-size", str(SIDE), "--variants", VARIANTS, "--thorough", "--no-explain"]
    argv += ["--race-seconds", "0", "--certify", "off", "--threads", "1", "--fresh", "--quiet", "--out", str(folder)]
    timed(argv)


def thinned(evidence: Evidence, wanted: Sequence[Pass]) -> Evidence:
    """The evidence of those of the wanted passes whose calls were made."""
    _, stop = next((planned.start, planned.stop) for planned in wanted if planned.kind == "singles")
    singles = evidence.singles[:stop]
    passes = [planned for planned in wanted if planned.kind == "singles"]
    rows = {passes[0].id: (np.arange(len(singles)), singles)}
    for planned in wanted:
        if planned.kind == "singles" or (whole := _covering(evidence, planned)) is None:
            continue
        outputs = dict(zip(whole.images, evidence.outputs(whole), strict=True))
        passes.append(planned)
        rows[planned.id] = kept_rows(singles, 0, planned, np.stack([outputs[image] for image in planned.images]))
    return replace(evidence, passes=tuple(passes), rows=rows.__getitem__, call_s={})


def _covering(evidence: Evidence, wanted: Pass) -> Pass | None:
    """The pass that made the same calls, and others."""
    for planned in evidence.find(wanted.kind, wanted.batch_size):
        alike = (planned.rotation, planned.neighbour) == (wanted.rotation, wanted.neighbour)
        aligned = (wanted.start - planned.start) % planned.batch_size == 0
        if alike and aligned and planned.start <= wanted.start and wanted.stop <= planned.stop:
            return planned
    return None


def verdict(rounds: Sequence[Evidence]) -> tuple[str, int]:
    """The verdict of two rounds, and how many images passed through the network."""
    condition = Condition(threads=1, image_size=SIDE)
    tested = ConditionTested(condition, rounds[0], comparisons(rounds[0], rounds[1], None, condition))
    verdict_of_set = inputs_verdict([tested], IMAGES)
    passed = sum(p.stop - p.start for evidence in rounds for p in evidence.passes)
    return verdict_of_set.verdict if verdict_of_set else "none", passed


def lines(network: str, folder: Path) -> Iterator[str]:
    """One line of the table for each variant."""
    for variant in sorted(path.name for path in (folder / "evidence").iterdir()):
        files = (folder / "evidence" / variant).glob("*.safetensors")
        rounds = sorted((read_evidence(path) for path in files), key=lambda evidence: evidence.round)
        if len(rounds) < 2 or len(rounds[0].singles) != IMAGES:
            continue  # emulated here, on a few images
        plans = (first_round(IMAGES, SIZES), second_round(IMAGES, SIZES))
        whole, calls = verdict(rounds)
        short, fewer = verdict([thinned(evidence, plan) for evidence, plan in zip(rounds, plans, strict=True)])
        said = "the same" if short == whole else f"**{short}**"
        yield f"| {network} | {variant} | {whole} | {said} | {calls} | {fewer} |"


def main() -> None:
    """Study and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="a list of torchvision names")
    arguments = parser.parse_args()
    print("| network | variant | `--thorough` | the default plan's calls | images passed | of them kept |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for network in arguments.only.split(",") if arguments.only else NETWORKS:
        with tempfile.TemporaryDirectory() as name:
            studied(network, Path(name) / "run")
            for line in lines(network, Path(name) / "run"):
                print(line, flush=True)


if __name__ == "__main__":
    main()
