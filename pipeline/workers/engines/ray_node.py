"""What runs in Ray's processes on the nodes of a cluster: one call in a launcher of the node."""

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isobatch.pipeline.machine.environment import machine
from isobatch.pipeline.records.errors import EngineError
from isobatch.pipeline.storage.files import StoreError
from isobatch.pipeline.workers.call import WorkerError
from isobatch.pipeline.workers.engines.ray_files import Shipped, shared_scratch
from isobatch.pipeline.workers.pool import Workers

_workers: list[Workers] = []


def tell_machine() -> str:
    """What decides bits on this node."""
    return machine()


def answer_call(request: dict[str, Any], files: dict[str, Shipped]) -> dict[str, Any]:
    """{"node", "result", "events", "files"}: of one call its result, what it emitted, and the files it wrote.

    {"node", "unlike"} where this is not a machine of the study; {"node", "error"} where its worker failed.
    """
    ray = importlib.import_module("ray")
    node = {"node": ray.get_runtime_context().get_node_id()}
    if (here := machine(request["environment"])) != request["machine"]:
        return node | {"unlike": here}
    if not _workers:  # one for as long as this process lives: its launcher has its libraries loaded
        _workers.append(Workers(request["timeout_s"]))
    events: list[Any] = []
    try:
        with tempfile.TemporaryDirectory(dir=shared_scratch(request["scratch"])) as scratch:
            places = {path: shipped.here(ray.get, request["scratch"]) for path, shipped in files.items()}
            places |= {path: str(Path(scratch, str(at))) for at, path in enumerate(request["writes"])}
            payload = moved(request["payload"], places)
            result = _workers[0].call(request["environment"], request["function"], payload, events.append)
            written = [Path(places[path]).read_bytes() for path in request["writes"]]
    except WorkerError as error:
        fields = {name: getattr(error, name) for name in ("reason", "kind", "remedy", "trace", "code")}
        return node | {"error": fields | {"storage": False}}
    except EngineError as error:
        return node | {"error": {"reason": str(error), "storage": False, "kind": "killed"}}
    except (StoreError, OSError) as error:
        return node | {"error": {"reason": str(error), "storage": True}}
    return node | {"result": result, "events": events, "files": written}


def moved(value: Any, places: Mapping[str, str]) -> Any:
    """The payload with each path in it replaced by where that lies here."""
    if isinstance(value, dict):
        return {key: moved(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [moved(item, places) for item in value]
    return places.get(value, value) if isinstance(value, str) else value
