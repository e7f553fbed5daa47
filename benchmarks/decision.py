"""How often the choice is right: ``python -m benchmarks.decision record|replay|studies ...``.

``record OUT.json --seconds S``: races the int8 variants of a network for so long, all rounds kept.
``replay RACE.json TRUTH.json``: decisions replayed from the rounds of one recording, drawn again with replacement, with
a share of disturbed rounds planted among them; what is true comes from the rounds of the other recording (200 or more).
A table of coverage, choices within 5 % of the fastest, dominated choices, widths, and false decisions at a ratio of
exactly the margin.
``studies -- ARGS``: five whole quick studies in a row, the last one beside a busy process; what each of them chose.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.common import RUN, prepared
from benchmarks.replayed import replay
from isobatch.models.registry import find_variant
from isobatch.pipeline.decide.race import LOOKS
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.race.contestant import LiveContestant
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.race.rounds import Entry, Tally, race

VARIANTS = "int8-fbgemm,int8-x86,int8-onednn,ort-int8,ort-int8-qoperator"
STUDIES = 5
_PLANTED = 0.1  # of the rounds of a replayed race: one call of them takes up to three times as long


def record(arguments: argparse.Namespace) -> None:
    """Race for a time, and write each contestant's seconds an image, round by round."""
    n = arguments.n
    settings = {name: getattr(arguments, name) for name in ("model", "weights", "inputs", "image_size")}
    with prepared(arguments.variants, 600, images=max(16, n), **settings) as stages, ExitStack() as opened:
        entries = [_entry(stages, spec.name, n, opened) for spec in stages.specs if spec.role == "candidate"]

        def told(tally: Tally) -> None:
            stages.progress.step(f"round {tally.run}, {tally.disturbed} disturbed", 0.0)

        tally = race(entries, arguments.seconds, lambda tally: tally.rounds >= arguments.rounds, told)
    recorded = {
        "n": n,
        "rounds": tally.rounds,
        "disturbed": tally.disturbed,
        "unsteady": tally.unsteady,
        "seconds": {entry.name: [s / n for s in entry.call_s] for entry in entries if entry.dropped is None},
        "waited": {entry.name: [s / n for s in entry.waited_s] for entry in entries if entry.dropped is None},
        "dropped": {entry.name: entry.dropped for entry in entries if entry.dropped},
    }
    arguments.file.write_text(json.dumps(recorded))
    print(f"{arguments.file}: {tally.rounds} rounds, {tally.disturbed} disturbed, {tally.seconds:.0f} s")


def _entry(stages: Stages, name: str, n: int, opened: ExitStack) -> Entry:
    prepared = stages.sets[-1]
    point = stages.base_of(find_variant(name))
    artifact, images = stages.artifacts[name, prepared.record.name], prepared.evaluation
    payload = Opening(name, point.runner, artifact, images, images, None, most=n).to_json()
    contestant = opened.enter_context(LiveContestant(stages.workers, point.environment, payload))
    entry = Entry(name, contestant, n, 60.0, 300.0)
    entry.open()
    return entry


def studies(arguments: argparse.Namespace) -> None:
    """Five quick studies in a row; beside the last one a process that keeps a core busy."""
    for at in range(STUDIES):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if at == STUDIES - 1 else None
        with tempfile.TemporaryDirectory() as folder:
            command = [*RUN, "--quick", "--quiet", "--out", f"{folder}/run", *arguments.rest]
            subprocess.run(command, stdout=subprocess.DEVNULL)
            if busy is not None:
                busy.kill()
                busy.wait()
            decided = json.loads(Path(folder, "run", "report.json").read_text())["recommendation"]
        shown = decided["race"] or {"ratios": {}, "rounds": 0, "unsteady": None}
        ratio = shown["ratios"].get(decided["chosen"], {}).get("median")
        sure = (decided["sureness"] or {}).get("share")
        beside = " (a core was busy)" if busy is not None else ""
        print(
            f"{at + 1}: {decided['chosen']}, ratio to the fastest {ratio}, runner-up {decided['runner_up']}, sureness "
            f"{sure}, {shown['rounds']} rounds, unsteady: {shown['unsteady']}{beside}",
            flush=True,
        )


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    recording = commands.add_parser("record")
    recording.add_argument("file", type=Path)
    recording.add_argument("--variants", default=VARIANTS)
    recording.add_argument("--model", default="resnet50")
    recording.add_argument("--weights", default="auto")
    recording.add_argument("--inputs", default="auto")
    recording.add_argument("--image-size", type=int)
    recording.add_argument("--n", type=int, default=8)
    recording.add_argument("--rounds", type=int, default=200)
    recording.add_argument("--seconds", type=float, default=600.0)
    recording.set_defaults(run=record)
    replaying = commands.add_parser("replay")
    replaying.add_argument("race", type=Path)
    replaying.add_argument("truth", type=Path)
    replaying.add_argument("--decisions", type=int, default=1000)
    replaying.add_argument("--planted", type=float, default=_PLANTED)
    replaying.add_argument("--rounds", type=int, default=LOOKS[-1], help="after which a race ends at the latest")
    replaying.add_argument("--seed", type=int, default=0)
    replaying.set_defaults(run=replay)
    whole = commands.add_parser("studies")
    whole.add_argument("rest", nargs="*")
    whole.set_defaults(run=studies)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
