"""A zoo: ``check`` over every torchvision classifier with random weights; writes docs/zoo.md.

``python -m benchmarks.zoo [--only resnet18,vit_b_16] [--size 64] [--folder out/zoo]``. Each network's answer is kept in
the folder as soon as it is there, so the same command goes on where it stopped; ``--page`` only writes the page anew.
A network that takes no images of the size asked for is checked at its own.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, RUN
from isobatch.pipeline.records.errors import Exit

PAGE = ROOT / "docs" / "zoo.md"
VARIANTS = ("fp32", "bf16", "ort-fp32", "ort-int8")
BATCH_SIZES = "2,4,8"
PATIENCE_S = 600.0  # for the four variants of one network, one after the other
OWN_SIZE = 0


def names() -> list[str]:
    """Every torchvision classifier."""
    from isobatch.models.weights.networks import known_models

    return list(known_models())


def checked(network: str, size: int) -> dict[str, Any]:
    """What ``check --json`` says of one network, with the seconds of the whole command.

    ``stopped`` says why where there is no report. What is built is not kept: it would be tens of gigabytes.
    """
    shape = ["--input-shape", f"3x{size}x{size}"] if size else []
    argv = [*RUN, "check", network, "--weights", "random", *shape]
    argv += ["--variants", ",".join(VARIANTS), "--batch-sizes", BATCH_SIZES, "--json", "--quiet"]
    begin = time.perf_counter()
    answer: dict[str, Any] = {"network": network, "size": size, "day": datetime.now(UTC).date().isoformat()}
    try:
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "XDG_CACHE_HOME": cache}
            )
    except subprocess.TimeoutExpired:
        return answer | {"seconds": time.perf_counter() - begin, "stopped": f"no answer within {PATIENCE_S:.0f} s"}
    answer |= {"seconds": time.perf_counter() - begin, "exit": done.returncode}
    try:
        return answer | {"report": json.loads(done.stdout)}
    except ValueError:
        said = done.stderr.strip().splitlines()
        return answer | {"stopped": said[-1] if said else f"it ended with {done.returncode} and said nothing"}


def takes(answer: dict[str, Any]) -> bool:
    """Whether the network could be run on images of that size in any variant."""
    return any(variant["status"] == "measured" for variant in answer.get("report", {}).get("variants", ()))


def cell(variant: dict[str, Any]) -> str:
    """One variant of one network for the table."""
    if variant["status"] != "measured":
        return f"{variant['status']}: {variant['reason'][:80]}".replace("|", "/")
    if variant["verdict"] == "batch-invariant":
        return "invariant"
    if variant["verdict"] != "batch-variant":
        return f"{variant['verdict']}: {variant['reason'][:80]}".replace("|", "/")
    first = variant["first"]
    differing = [at["batch_size"] for at in variant["sizes"] if at["n_images_equal"] < at["n_images"]]
    where = f"`{first['layer']}` ({first['kind']})" if first else "no layer found"
    more = f" and {variant['origins'] - 1} more" if variant["origins"] > 1 else ""
    mixed = ", images mix" if variant["mixes"] else ""
    return f"**differs** at N = {', '.join(map(str, differing))}{mixed}: {where}{more}"


def page(answers: list[dict[str, Any]]) -> str:
    """The page."""
    whole = [reply for reply in answers if "report" in reply]
    told = [variant for reply in whole for variant in reply["report"]["variants"] if variant["status"] == "measured"]
    judged = Counter(variant["variant"] for variant in told if variant["verdict"] != "unverified")
    invariant = Counter(variant["variant"] for variant in told if variant["verdict"] == "batch-invariant")
    cpus = sorted({reply["report"]["cpu"] for reply in whole})
    days = sorted({reply["day"] for reply in answers})
    lines = [
        "# The zoo: torchvision's classifiers, alone and in a batch",
        "",
        f"`python -m benchmarks.zoo`: `isobatch check NETWORK --weights random --variants {','.join(VARIANTS)} "
        f"--batch-sizes {BATCH_SIZES}` for {len(answers)} networks, "
        f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, "
        f"on {', '.join(cpus)}. Random weights and drawn images: whether bytes depend on N is a matter of kernels and "
        "shapes, how much that matters is not. An answer holds for this machine, these N and the image size beside it; "
        "other sizes and thread counts run other kernels. Seconds: the whole command, four variants, building and "
        "exporting included: an orientation, not a timing.",
        "",
        "; ".join(f"{name}: {invariant[name]} of {judged[name]} batch-invariant" for name in VARIANTS) + ".",
        "",
        f"| network | pixels | {' | '.join(VARIANTS)} | s |",
        f"| --- | --- | {' | '.join('---' for _ in VARIANTS)} | --- |",
    ]
    for answer in sorted(answers, key=lambda known_answer: known_answer["network"]):
        known = {variant["variant"]: cell(variant) for variant in answer.get("report", {}).get("variants", ())}
        cells = [known.get(name, answer.get("stopped", "")[:80]) for name in VARIANTS]
        size = answer["size"] or "its own"
        lines.append(f"| {answer['network']} | {size} | {' | '.join(cells)} | {answer['seconds']:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Check what is not kept yet, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="a list of names (default: every classifier)")
    parser.add_argument("--size", type=int, default=64, help="pixels; 0: each network's own (default: 64)")
    parser.add_argument("--folder", type=Path, default=Path("out/zoo"), help="of the answers (default: out/zoo)")
    parser.add_argument("--page", action="store_true", help="only write the page of what is kept")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for network in () if arguments.page else arguments.only.split(",") if arguments.only else names():
        kept = arguments.folder / f"{network}.json"
        if kept.is_file():
            continue
        answer = checked(network, arguments.size)
        if arguments.size and "exit" in answer and not takes(answer):
            answer = checked(network, OWN_SIZE)
        if answer.get("exit") != Exit.TOOL:  # of the network nothing was said: asked again the next time
            kept.write_text(json.dumps(answer, indent=1))
        print(f"{network}: {answer['seconds']:.0f} s, exit {answer.get('exit', 'none')}", flush=True)
    answers = [json.loads(kept.read_text()) for kept in sorted(arguments.folder.glob("*.json"))]
    if answers:
        PAGE.write_text(page(answers))


if __name__ == "__main__":
    main()
