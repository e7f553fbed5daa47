"""The engine that a study asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.config import Config
from pipeline.engines import Engine
from pipeline.engines.local import LocalEngine
from pipeline.execute import Workers


@contextmanager
def open_engine(config: Config, workers: Workers, say: Callable[[str], None]) -> Iterator[Engine]:
    """The engine, closed at the end. Raises UsageError ("ray-missing", "ray-cluster") where it cannot be had."""
    if config.engine == "local":
        yield LocalEngine(workers, config.workers)
        return
    from pipeline.engines.ray import RayEngine
    from pipeline.engines.ray_cluster import RayCluster

    with RayCluster(config.ray_address, say) as cluster:
        yield RayEngine(cluster, config.workers, config.timeout_s)
