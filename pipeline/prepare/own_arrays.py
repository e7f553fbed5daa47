"""A factory's network that is studied on arrays, not pictures: it is exported to ONNX first, with their batch free."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from isobatch.models.weights.model_name import kind_of
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.variants import variants_of
from isobatch.pipeline.inputs.arrays import ARRAYS
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.prepare.crossing import ExportAsked
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.records.errors import UsageError, WorkerError
from isobatch.pipeline.storage.cache import in_use
from isobatch.pipeline.storage.places import cache_root


def on_arrays(config: Config, say: Callable[[str], None]) -> Config:
    """The same study of the exported file, where a factory is to be run on arrays; any other as it is.

    Raises UsageError where the network does not take the arrays, or cannot be exported.
    """
    path = Path(config.inputs)
    if config.onnx or kind_of(config.model) != "factory" or path.suffix.lower() not in ARRAYS or not path.is_file():
        return config
    asked = ExportAsked(
        name=config.weights,
        model=config.model,
        cache=str(cache_root()),
        offline=config.offline,
        state_dict=config.state_dict,
        inputs=str(path),
    )
    environment = worker_settings(max(config.threads))
    call = "isobatch.pipeline.prepare.in_worker:export_own"
    try:
        with Workers(config.timeout_s) as workers, in_use(cache_root()):
            onnx: str | None = workers.call(environment, call, asked.to_json(), lambda event: say(Told.of(event).say))
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        text = error.reason if error.kind not in ("timeout", "crash") else f"{config.model}: {error.reason}"
        raise UsageError(error.code or "weights", text) from error
    if onnx is None:
        return config
    return of_file(config, onnx)


def of_file(config: Config, onnx: str) -> Config:
    """The same study of the ONNX file that was exported from the network."""
    every = config.variants == variants_of("all", onnx=False)
    variants = variants_of("all", onnx=True) if every else config.variants
    return replace(config, onnx=onnx, variants=variants)
