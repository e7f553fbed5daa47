"""The engine that a study asks for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isobatch.pipeline.config.config import Config
from isobatch.pipeline.workers.engines import Engine
from isobatch.pipeline.workers.engines.local import LocalEngine
from isobatch.pipeline.workers.pool import Workers


@contextmanager
def open_engine(config: Config, workers: Workers, say: Callable[[str], None]) -> Iterator[Engine]:
    """The engine, closed at the end. Raises UsageError ("ray-missing", "ray-cluster") where it cannot be had."""
    if config.engine == "local":
        yield LocalEngine(workers, config.workers)
        return
    from isobatch.pipeline.workers.engines.ray import RayEngine
    from isobatch.pipeline.workers.engines.ray_cluster import RayCluster

    with RayCluster(config.ray_address, say) as cluster:
        yield RayEngine(cluster, config.workers, config.timeout_s)
