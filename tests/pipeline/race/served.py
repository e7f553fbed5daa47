"""A worker that speaks the race's language without a network: as many seconds as images, and some faults."""

import ctypes
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from isobatch.pipeline.race.in_worker import connected
from isobatch.pipeline.workers.wire import Emit

CRASH, RAISE, HANG = 101, 102, 103


def contest(payload: dict[str, Any], emit: Emit) -> dict[str, int]:
    with connected(Path(payload["socket"])) as line:
        if payload.get("broken"):
            raise ValueError("it cannot be opened")
        line.sendall(json.dumps({"pid": os.getpid(), "load_s": 0.1}).encode() + b"\n")
        for text in line.makefile("r"):
            asked = json.loads(text)
            if asked["n"] == CRASH:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                ctypes.string_at(0)
            if asked["n"] == RAISE:
                raise ValueError("no such n")
            if asked["n"] == HANG:
                time.sleep(3600)
            seconds = [float(asked["n"])] * asked["calls"]
            said = {"seconds": seconds, "waited_s": [None] * asked["calls"], "peak_memory_bytes": 7}
            line.sendall(json.dumps(said).encode() + b"\n")
    return {}


def nothing(payload: dict[str, Any], emit: Emit) -> dict[str, int]:
    return {}
