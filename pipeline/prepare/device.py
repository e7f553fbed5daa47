"""Whether the device of a study can be used here, asked before anything is written."""

from isobatch.pipeline.config.config import Config
from isobatch.pipeline.machine.environment import available_cores, worker_settings
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.workers.pool import Workers


def ask_device(config: Config) -> dict[str, str]:
    """The facts of the study's device; none for the CPU, which is always there.

    Asked in a worker: the answer initialises the device, and no process that did so may fork others that use it.
    Raises UsageError ("no-device") with the reason.
    """
    if config.device == "cpu":
        return {}
    with Workers(config.timeout_s) as workers:
        environment = worker_settings(available_cores()) | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
        facts = workers.call(environment, f"isobatch.models.machine.probe:{config.device}_probe", None)
    if "why" in facts:
        raise UsageError("no-device", f"--device {config.device}: {facts['why']}: {facts['remedy']}")
    return dict(facts["facts"])
