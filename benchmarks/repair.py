"""What each repair costs: ``python -m benchmarks.repair [--variants fp32,int8-x86] [--threads 1,2] [--rungs NAME]``.

One row a variant, rung, thread count and N: repaired over native, medians of alternating pairs of calls in one worker
with 95 % limits; latency at N = 1, throughput above. Every rung that applies and holds over the N below is priced.
Targets, at the near end of the interval: throughput 0.95 at N >= 8 (int8-x86, int8-onednn: N >= 2), latency 1.10.
"""

import argparse
import math
from dataclasses import replace
from typing import Any

from benchmarks.common import prepared
from isobatch.models.registry import find_variant, load
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.processes.wire import Emit
from isobatch.pipeline.records.study import Interval
from isobatch.pipeline.records.wording import Toward, between, rounded
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.ladder import attempts, climb
from isobatch.pipeline.repair.layers import survey
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.repair.rungs import Bench, all_rungs
from isobatch.pipeline.repair.verify import Scope, every_size, time_ratios, verify

SIZES = (1, 2, 8, 16, 32)
PAIRS = 15


def measured(payload: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """Runs in a worker: every rung that holds, with its ratios by N."""
    images = Images.of(payload["images"])
    threads: int = payload["threads"]
    spec = find_variant(payload["variant"])
    with load(spec.open)(Artifact.of(payload["artifact"]), RunnerSettings(threads)) as runner:
        scope = Scope(
            [images],
            SIZES[1:],
            {},
            timed_sizes=SIZES[:2],
            pairs=1,
            passes=every_size,
            stop_at_first=True,
            done=lambda n: emit({}),
        )
        if not payload["rungs"]:
            native = verify(runner, runner, images, scope)
            if native.batch_invariant:
                return [{"name": "none", "why": f"batch-invariant without a repair at N = {SIZES}", "ratios": {}}]
        captured = images.read(0, max(SIZES))
        located, shapes = survey(runner, captured, max(SIZES), 0, lambda n: emit({}))
        bench = Bench(runner, threads, captured, SIZES[1:], located, shapes)
        tried = []
        for rung in payload["rungs"] or [rung.name for rung in all_rungs()]:
            for attempt in climb(bench, scope, math.inf, [rung]):
                ratios: dict[int, list[float]] = {}
                if attempt.holds and attempt.candidate:
                    with attempt.candidate.build(runner) as repaired:
                        priced = replace(scope, pairs=payload["pairs"], enough_s=math.inf)
                        ratios = time_ratios(runner, repaired, priced, SIZES)
                (told,) = attempts([attempt])
                tried.append(told.to_json() | {"ratios": {str(n): values for n, values in ratios.items()}})
        return tried


def row(name: str, threads: int, n: str, interval: Interval) -> str:
    """One line of the table."""
    what = "latency" if n == "1" else "throughput"
    low, high = interval.low95, interval.high95
    limits = "" if low is None or high is None else between(low, high, _three_decimals)
    return f"{name:<36} {threads:>7} {n:>3} {what:<10} {interval.median:6.3f}  {limits}  n = {interval.n}"


def _three_decimals(value: float, toward: Toward) -> str:
    return f"{rounded(value, 3, toward):6.3f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default="fp32,int8-x86,int8-onednn,ort-int8-dynamic")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rungs", default="", help="a list, also where nothing needs repair (default: all)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of calls for each N (default: %(default)s)")
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--weights", default="auto")
    arguments = parser.parse_args()
    network = {"model": arguments.model, "weights": arguments.weights, "inputs": "digits", "images": max(SIZES)}
    with prepared(arguments.variants, 3600, **network) as stages:
        digits = stages.sets[-1]
        for name in [spec.name for spec in stages.specs]:
            for threads in map(int, arguments.threads.split(",")):
                payload = {
                    "variant": name,
                    "artifact": stages.artifacts[name, digits.record.name].to_json(),
                    "images": digits.evaluation.to_json(),
                    "threads": threads,
                    "rungs": [rung for rung in arguments.rungs.split(",") if rung],
                    "pairs": arguments.pairs,
                }
                tried = stages.workers.call(worker_settings(threads), "benchmarks.repair:measured", payload)
                show(name, threads, tried)


def show(name: str, threads: int, tried: list[dict[str, Any]]) -> None:
    """The rows of one variant and thread count."""
    for attempt in tried:
        label = f"{name}+{attempt['name']}"
        if not attempt["ratios"]:
            print(f"{label:<36} {threads:>7}   - {attempt['why'] or repair_records([Attempt.of(attempt)])[0].note}")
        for n, ratios in attempt["ratios"].items():
            values = ratios if n == "1" else [1 / ratio for ratio in ratios]
            print(row(label, threads, n, median_interval(values)), flush=True)


if __name__ == "__main__":
    main()
