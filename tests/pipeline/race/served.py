"""A worker that speaks the race's language without a network: as many seconds as images, and some faults."""

import ctypes
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from isobatch.pipeline.processes.wire import Emit
from isobatch.pipeline.race.in_worker import connected

CRASH, RAISE, HANG = 101, 102, 103


def contest(payload: dict[str, Any], emit: Emit) -> dict[str, int]:
    with connected(Path(payload["socket"])) as line:
        if payload.get("broken"):
            raise ValueError("it cannot be opened")
        line.send_bytes(json.dumps({"pid": os.getpid(), "load_s": 0.1}).encode())
        while True:
            asked = json.loads(line.recv_bytes())
            if asked["n"] == CRASH:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                ctypes.string_at(0)
            if asked["n"] == RAISE:
                raise ValueError("no such n")
            if asked["n"] == HANG:
                time.sleep(3600)
            seconds = [float(asked["n"])] * asked["calls"]
            said = {"seconds": seconds, "waited_s": [None] * asked["calls"], "peak_memory_bytes": 7}
            line.send_bytes(json.dumps(said).encode())


def nothing(payload: dict[str, Any], emit: Emit) -> dict[str, int]:
    return {}
