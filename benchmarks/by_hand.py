"""What one would write by hand, as in the original post: each variant opened, four calls of its four images, compared.

``python -m benchmarks.by_hand RUN``: of the variants of a finished run, on the images of its seed set (4 of 400 x 400),
with the artifacts that the run has cached. Prints the seconds of each variant as JSON. Building is left out, as in the
study that it is compared with.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, RunnerSettings

CALLS = 4


def seconds(entry: dict[str, Any]) -> float:
    """Seconds of opening one variant, calling it and comparing the calls."""
    images = Images.of(entry["images"])
    begin = time.perf_counter()
    spec = find_variant(entry["variant"])
    with load(spec.open)(Artifact.of(entry["artifact"]), RunnerSettings.of(entry["setting"]["runner"])) as runner:
        batch = images.read(0, len(images))
        first = runner.run(batch)
        equal = [runner.run(batch).tobytes() == first.tobytes() for _ in range(CALLS - 1)]
    assert len(equal) == CALLS - 1
    return time.perf_counter() - begin


def main() -> None:
    """Run them all in this process, one after the other."""
    entries = json.loads((Path(sys.argv[1]) / "artifacts.json").read_text())["artifacts"]
    chosen = [job for job in entries if job["inputs"] == "seed" and find_variant(job["variant"]).role == "candidate"]
    print(json.dumps({job["variant"]: seconds(job) for job in chosen}))


if __name__ == "__main__":
    main()
