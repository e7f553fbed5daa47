"""The one door through which a worker opens a variant: a network from outside has limits wherever it runs."""

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import USERS_FILE, Artifact, RunnerSettings, VariantUnavailable
from isobatch.pipeline.machine.memory import limit_graph


def open_runner(variant: str, artifact: Artifact, settings: RunnerSettings, values: int) -> Runner:
    """The variant's runner, not yet entered. Raises VariantUnavailable where it cannot run here.

    ``values``: of all examples that it is given at once. Where the artifact was made of a user's file, this process can
    have no more memory than such a network needs for them (``limit_graph``), until it ends.
    """
    if artifact.manifest.recipe.get("exporter") == USERS_FILE:
        limit_graph(artifact.manifest.size_bytes, values)
    spec = find_variant(variant)
    if settings.device not in spec.devices:
        raise VariantUnavailable(f"{variant} runs on {' and '.join(spec.devices)} only", "use --device cpu")
    runner: Runner = load(spec.open)(artifact, settings)
    return runner
