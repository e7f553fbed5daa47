"""What a command that is no study prepares before it begins: weights, inputs and artifacts, in a scratch folder."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from isobatch.models.shared.scratch import Scratch
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.prepare.artifacts import build_artifacts
from isobatch.pipeline.prepare.network import prepare_network
from isobatch.pipeline.prepare.run_folder import open_run
from isobatch.pipeline.prepare.state import Progress, Stages
from isobatch.pipeline.prepare.weights import NetworkChosen
from isobatch.pipeline.processes.engines.local import LocalEngine
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.storage.cache import in_use
from isobatch.pipeline.storage.places import cache_root


@contextmanager
def prepared(config: Config, progress: Progress) -> Iterator[tuple[Stages, NetworkChosen, Path]]:
    """The stages with all that is ready, what is known of the weights, and the scratch folder, which goes at the end.

    As many images as the largest N, unless their number is asked for. Raises UsageError for input that cannot be used.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(Scratch()).path
        wanted = replace(config, out=str(scratch / "run"), images=config.images or max(config.batch_sizes, default=1))
        stack.enter_context(in_use(cache_root()))
        workers = stack.enter_context(Workers(config.timeout_s))
        run = stack.enter_context(closing(open_run(wanted)))
        stages = Stages(wanted, run, cache_root(), workers, progress, LocalEngine(workers, 1))
        chosen = prepare_network(stages)
        build_artifacts(stages)
        yield stages, chosen, scratch
