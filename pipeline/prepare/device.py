"""What of a study this machine can do: whether its device can be used, and which instruction-set caps act."""

from isobatch.models.machine.crossing import DeviceSaid
from isobatch.pipeline.config.conditions import Caps
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.machine.environment import available_cores, cpu_flags, worker_settings
from isobatch.pipeline.machine.isa_caps import CAPS, NATIVE
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.records.errors import UsageError

_PROBES = {"cuda": "isobatch.models.machine.in_worker:cuda_probe"}  # by device


def ask_device(config: Config) -> dict[str, str]:
    """The facts of the study's device, asked before anything is written; none for the CPU, which is always there.

    Asked in a worker: the answer initialises the device, and no process that did so may fork others that use it.
    Raises UsageError ("no-device") with the reason.
    """
    if config.device == "cpu":
        return {}
    with Workers(config.timeout_s) as workers:
        environment = worker_settings(available_cores()) | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
        said = DeviceSaid.of(workers.call(environment, _PROBES[config.device], None))
    if said.why:
        raise UsageError("no-device", f"--device {config.device}: {said.why}: {said.remedy}")
    return dict(said.facts)


def probe_caps(config: Config, workers: Workers) -> Caps:
    """Ask the libraries under every cap of the study, each in its own launcher. Nothing is run for native alone.

    Raises WorkerError where not even the native libraries can be asked.
    """
    caps = Caps()
    threads = max(config.threads)
    if config.isa == (NATIVE,):
        return caps
    for isa in dict.fromkeys([NATIVE, *config.isa]):
        if lacking := [name for name in CAPS[isa].needs if name not in cpu_flags()]:
            caps.reasons[isa] = f"unavailable: this processor has no {', '.join(lacking)}"
            continue
        try:
            caps.seen[isa] = workers.call(
                worker_settings(threads, isa), "isobatch.models.machine.in_worker:isa_probe", threads
            )
        except WorkerError as error:
            if isa == NATIVE:
                raise
            caps.reasons[isa] = f"unavailable: under the cap {isa} not even the read-back ran: {error.reason}"
    return caps
