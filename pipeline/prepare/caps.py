"""Which instruction-set caps act in this machine's libraries."""

from isobatch.pipeline.config.conditions import Caps
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.machine.environment import cpu_flags, worker_settings
from isobatch.pipeline.machine.isa_caps import NATIVE, missing_features
from isobatch.pipeline.workers.pool import WorkerError, Workers


def probe_caps(config: Config, workers: Workers) -> Caps:
    """Ask the libraries under every cap of the study, each in its own launcher. Nothing is run for native alone.

    Raises WorkerError where not even the native libraries can be asked.
    """
    caps = Caps()
    threads = max(config.threads)
    if config.isa == (NATIVE,):
        return caps
    for isa in dict.fromkeys([NATIVE, *config.isa]):
        if lacking := missing_features(isa, cpu_flags()):
            caps.reasons[isa] = f"unavailable: this processor has no {', '.join(lacking)}"
            continue
        try:
            caps.seen[isa] = workers.call(
                worker_settings(threads, isa), "isobatch.models.machine.isa_probe:probe", {"threads": threads}
            )
        except WorkerError as error:
            if isa == NATIVE:
                raise
            caps.reasons[isa] = f"unavailable: under the cap {isa} not even the read-back ran: {error.reason}"
    return caps
