"""Which input sets a network takes: found out before anything is measured, and kept for later studies."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from isobatch.models.spec.artifact_cache import key_of
from isobatch.models.spec.words import Network
from isobatch.models.weights.model_name import kind_of, told_name
from isobatch.pipeline.config.numbers import SMALLEST
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import toolchain
from isobatch.pipeline.prepare.crossing import SizesAsked, Trial, TrialAsked
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.errors import StoreError, UsageError, WorkerError
from isobatch.pipeline.storage.files import read_json, write_json


class Exported(Exception):
    """The network takes the images in types of its own alone: the ONNX file ``path`` of it is to be studied instead."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def fitting(stages: Stages, sets: tuple[PreparedSet, ...]) -> tuple[PreparedSet, ...]:
    """The sets whose images the network takes; the others are left out with a warning.

    Raises UsageError for none, Exported where that can be cured so.
    """
    network = stages.network
    assert network is not None
    own = network.onnx_path or kind_of(network.model) == "factory"
    refused = _tried(stages, network, sets) if own else _refused(stages, network, sets)
    told = {
        name: f"{told_name(network.model)} takes no {_named(prepared)}: {refused[name]}"
        for prepared in sets
        if refused[name := prepared.record.name] is not None
    }
    kept = tuple(prepared for prepared in sets if prepared.record.name not in told)
    if not kept:
        raise UsageError("unfit-size", f"{told[sets[0].record.name]}. {_remedy(network, sets[0])}")
    for name, text in told.items():
        stages.warn("set-left-out", f"{name} is left out: {text}")
    if own and len(kept[-1].evaluation.shape) == 4:
        assert stages.network is not None
        stages.network = replace(stages.network, size=kept[-1].evaluation.shape[2:])
    return kept


def _named(prepared: PreparedSet) -> str:
    shape = prepared.evaluation.shape[1:]
    if prepared.evaluation.fields:
        return "arrays of this set"
    return f"images of {shape[1]} x {shape[2]}"


def _remedy(network: Network, prepared: PreparedSet) -> str:
    if prepared.evaluation.fields:
        return "Give --inputs FILE.npz or FILE.npy with what it takes"
    give = "Give --inputs photos" if prepared.record.name == "seed" else "Give"  # that set has a size of its own
    if kind_of(network.model) == "factory":
        return (
            f"{give} --image-size of a size that it takes; where it takes other arrays than pictures, give those: "
            "--inputs FILE.npy, or FILE.npz with an array for each argument by name"
        )
    height, width = network.size
    if min(height, width) < SMALLEST:
        return f"Give images of {height} x {width} as --inputs FILE.npy"
    shown = str(height) if height == width else f"{height}x{width}"
    return f"{give} --image-size {shown}, or images of a size that it takes"


def _refused(stages: Stages, network: Network, sets: tuple[PreparedSet, ...]) -> dict[str, str | None]:
    """By set why a torch network takes none of its images, or None."""
    sizes = list(dict.fromkeys(prepared.evaluation.shape[2:] for prepared in sets))
    refused = _refusals(stages, network, sizes)
    return {prepared.record.name: refused[prepared.evaluation.shape[2:]] for prepared in sets}


def _tried(stages: Stages, network: Network, sets: tuple[PreparedSet, ...]) -> dict[str, str | None]:
    """By set why the user's network takes none of its images, or None; the outcome is set, and a graph where rewritten.

    Raises UsageError where it cannot be run at all, or has not the outcome that was asked for; Exported as ``fitting``.
    """
    asked = TrialAsked(
        network, tuple(prepared.evaluation for prepared in sets), stages.config.outcome, str(stages.cache)
    )
    call = "try_graph" if network.onnx_path else "try_network"
    try:
        answers = stages.call(f"isobatch.pipeline.prepare.in_worker:{call}", asked.to_json(), "inputs")
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        text = error.reason
        if network.model.partition("[")[0] not in text:
            text = f"{told_name(network.model)} cannot be run on {_named(sets[0])}: {text}"
        raise UsageError("onnx" if network.onnx_path else "weights", text) from error
    trials = [Trial.of(answer) for answer in answers]
    if exported := trials[-1].exported:
        raise Exported(exported)
    outcomes = [trial.outcome for trial in trials if trial.outcome is not None]
    notes = [] if stages.weights is None else [stages.weights.note]
    if outcomes:
        stages.outcome = outcomes[-1]
        notes.append(stages.outcome.why)
        stages.progress.line(stages.outcome.why)
    if any(trial.rewritten for trial in trials):
        stages.network = replace(network, onnx_sha256=trials[-1].onnx_sha256)
        notes.append("its Reshape nodes held a batch size: they copy the batch now, with the same bytes at that size")
    if stages.weights is not None:
        stages.weights = stages.weights.model_copy(update={"note": "; ".join(notes)})
    return {prepared.record.name: trial.refusal for prepared, trial in zip(sets, trials, strict=True)}


def _refusals(stages: Stages, network: Network, sizes: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], str | None]:
    """By size why the network takes no images of it, or None. What torch answers, after seconds, is kept by size."""
    files, known = dict[tuple[int, ...], Path](), dict[tuple[int, ...], str | None]()
    for size in sizes:
        name = {"model": network.model, "num_classes": network.num_classes, "size": size, "onnx": network.onnx_path}
        files[size] = stages.cache / "sizes" / f"{key_of({**name, 'toolchain': toolchain()})[:32]}.json"
        with suppress(StoreError, KeyError, TypeError):  # not asked yet, or damaged
            why = read_json(files[size])["refusal"]
            if why is None or isinstance(why, str):
                known[size] = why
    if not (new := [size for size in sizes if size not in known]):
        return known
    asked = SizesAsked(network.model, network.num_classes, tuple((height, width) for height, width in new))
    try:
        answers = stages.call("isobatch.pipeline.prepare.in_worker:refused_sizes", asked.to_json(), "inputs")
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        text = f"{network.model} cannot be run on images of {new[0][0]} x {new[0][1]}: {error.reason}"
        raise UsageError("weights", text) from error
    for size, answer in zip(new, answers, strict=True):
        known[size] = answer
        with suppress(StoreError):  # a cache that cannot be written to is no reason to fail: it is asked again
            write_json(files[size], {"refusal": answer})
    return known
