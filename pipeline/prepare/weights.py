"""The weights under study: verified, stored and recorded."""

from dataclasses import dataclass, replace
from pathlib import Path

from isobatch import PROGRAM
from isobatch.models.spec.artifact_cache import ArtifactCache, file_sha256
from isobatch.models.spec.images import Size, View, sides
from isobatch.models.spec.words import Network
from isobatch.models.weights.file_kinds import LIST
from isobatch.models.weights.model_name import kind_of
from isobatch.pipeline.config.variants import variants_of
from isobatch.pipeline.inputs.prepare import SOURCES
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.crossing import NetworkAsked, NetworkFound
from isobatch.pipeline.prepare.kept import keep_answer, kept_answer
from isobatch.pipeline.prepare.preprocessing import chosen_view
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Weights


@dataclass(frozen=True)
class NetworkChosen:
    """The network under study; what pictures are made into for it in this study, and of which size."""

    network: NetworkFound
    view: View
    image_size: Size


def prepare_weights(stages: Stages) -> NetworkChosen:
    """Resolve and verify the weights, or the user's ONNX file. Raises UsageError.

    A run that goes on keeps the weights that it began with, if their file is what it was.
    """
    config = stages.config
    asked = NetworkAsked(
        name=config.weights,
        model=config.model,
        onnx=config.onnx,
        cache=str(stages.cache),
        offline=config.offline,
        state_dict=config.state_dict,
        batch_axes=dict(config.batch_axes),
    )
    folder = stages.run.folder / "inputs"
    kept = folder / "weights.json"
    network = kept_answer(kept, asked.to_json(), NetworkFound.of) if stages.run.resumed else None
    if network is None:
        network = _resolve(stages, replace(asked, folder=str(folder)))
        # an ONNX file may lie in several, listed weights do, and a factory's code may: they are read each time
        in_several = config.onnx or config.weights.endswith(LIST) or kind_of(network.model) == "factory"
        if not in_several:
            files = [path for path in (config.weights, network.path) if Path(path).is_file()]  # a keyword is none
            digests = {path: file_sha256(Path(path)) for path in files}
            keep_answer(kept, asked.to_json(), network.to_json(), digests)
    view, size, record = chosen_view(config, network)
    note = "; ".join(text for text in (network.note, network.offer) if text)
    stages.weights = Weights(
        source=network.source,
        model=network.model,
        sha256=network.sha256,
        note=note,
        num_classes=network.num_classes,
        preprocessing=record,
    )
    stages.network = Network(
        model=network.model,
        weights_path=network.path,
        weights_sha256=network.sha256,
        num_classes=network.num_classes or 0,
        onnx_path=network.onnx_path,
        onnx_sha256=network.onnx_sha256,
        size=network.fixed_size or sides(size),
    )
    stages.progress.line(f"weights: {network.source}{f': {note}' if note else ''}")
    for code, text in network.warnings:
        stages.warn(code, text)
    if network.quantized:
        _as_given(stages)
    if config.onnx and kind_of(config.model) == "factory":
        why, *remarks = ArtifactCache.notes(Path(config.onnx).parent)
        given = f" --inputs {config.inputs}" if config.inputs not in SOURCES and Path(config.inputs).exists() else ""
        stages.warn(
            "exported-for-arrays",
            f"{config.model} is studied as the ONNX file that was exported from it, as {why}; its torch variants: "
            f"{PROGRAM} check {config.model}{given}",
        )
        for text in remarks:
            stages.warn("training-mode", text)
    return NetworkChosen(network, view, size)


def _as_given(stages: Stages) -> None:
    """Of a file that is quantized already, all there is to measure is the file, where nothing else was named."""
    if stages.config.variants != variants_of("all", onnx=True):
        return
    (left, *others) = (name for name in stages.config.variants if name != baseline(stages.config))
    stages.warn(
        "as-given",
        f"the file is quantized already and runs as {baseline(stages.config)}, int8 as given: {left}"
        f"{''.join(f', {name}' for name in others)} are made from a float32 file and are left out; give that file with "
        "--onnx to measure them",
    )
    stages.config = replace(stages.config, variants=(baseline(stages.config),))


def _resolve(stages: Stages, asked: NetworkAsked) -> NetworkFound:
    call = "check_onnx" if asked.onnx else "resolve_weights"
    try:
        answer = stages.call(f"isobatch.pipeline.prepare.in_worker:{call}", asked.to_json(), "weights")
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        what = asked.onnx or asked.name
        text = error.reason if error.kind not in ("timeout", "crash", "MemoryError") else f"{what}: {error.reason}"
        raise UsageError(error.code or ("onnx" if asked.onnx else "weights"), text) from error
    return NetworkFound.of(answer)
