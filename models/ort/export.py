"""One float32 ONNX graph of the network, made once and shared by every onnxruntime variant."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from isobatch.models.ort.as_torch import difference_on_images, own_error
from isobatch.models.ort.check_user_file import LIMIT_BYTES, CheckedModel, OnnxError, check_onnx
from isobatch.models.ort.graph import quantized_nodes
from isobatch.models.ort.session import MODEL_FILE, ort_words
from isobatch.models.shared.time_limit import TimeLimit, time_limit
from isobatch.models.spec.artifact_cache import BuildRequest
from isobatch.models.spec.words import USERS_FILE, Artifact, Json, Manifest, Network, VariantUnavailable
from isobatch.models.weights.model_name import channels_of, own_code, told_name

if TYPE_CHECKING:
    import torch

_SIZES: tuple[tuple[int, int], ...] = (
    (224, 224),
    (160, 192),
)  # not one square only: a swapped height and width would go unnoticed
_TOLERANCE = 1e-3  # of the largest |logit|: rounding stays below 1e-5 of it, a wrong graph is far off
_TIMES, _MOST = 4.0, 0.25  # of a network that amplifies its own rounding: so many times that, and at most this
_CHAOTIC = 0.01  # of the largest |logit|, by rounding alone: beyond, a right graph may be far off too
_FREE, _BOUND = {0: "n", 2: "height", 3: "width"}, {0: "n"}  # the second for networks bound to one image size
_LIMITS_S = (90.0, 300.0)  # of computing, for either: of some networks torch seeks free sizes without an end


class ExportError(OnnxError):
    """No correct ONNX graph could be made of a network: what another variant would try is the same."""


def exported(request: BuildRequest) -> Artifact:
    """The folder with ``model.onnx``: float32, self-contained, batch axis free, height and width if possible.

    Exported from the network, or the user's own file after ``check_onnx``. Raises OnnxError, or VariantUnavailable
    where the graph cannot be one ONNX file.
    """
    network = request.network
    fields: dict[str, Json] = {name: version(name) for name in ("onnx", "onnxruntime")}
    if network.onnx_path is not None:
        checked = check_onnx(Path(network.onnx_path), network.onnx_sha256)
        fields |= {"artifact": "onnx-file", "onnx_sha256": checked.sha256}
        return request.cache.get(fields, lambda folder: _adopt(checked, folder))
    fields |= {"artifact": "onnx-export", "model": network.model, "weights_sha256": network.weights_sha256}
    fields |= {name: version(name) for name in ("torch", "torchvision", "onnxscript")}
    artifact = request.cache.get(fields, lambda folder: _export(network, request.say, folder, (_FREE, _BOUND)))
    if artifact.manifest.recipe.get("size", [*network.size]) == [*network.size]:
        return artifact
    fields |= {"size": network.size}  # what is there is bound to another one
    return request.cache.get(fields, lambda folder: _export(network, request.say, folder, (_BOUND,)))


def _adopt(checked: CheckedModel, folder: Path) -> Manifest:
    graph = checked.model.graph
    weights = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in weights]:
        graph.input.remove(value)  # files of IR version 3 list them; the converters take the first input for the images
    checked.model.ir_version = max(checked.model.ir_version, 4)
    onnx.save(checked.model, folder / MODEL_FILE)
    quantized = quantized_nodes(checked.model)
    notes = [f"int8 as given: the file holds {quantized} quantizing nodes, and runs as it is"] if quantized else []
    return _manifest(checked.model, {"exporter": USERS_FILE} | ({"as_given": "int8"} if quantized else {}), *notes)


def _export(network: Network, say: Callable[[str], None], folder: Path, ways: Sequence[dict[int, str]]) -> Manifest:
    """The graph with the first of these sets of free axes under which it answers as torch does."""
    import torch

    from isobatch.models.weights.networks import float_network

    called = told_name(network.model)
    say(f"exporting {called} to ONNX")
    net, channels = float_network(network), channels_of(network.model)
    size_bytes = sum(tensor.nbytes for tensor in net.state_dict().values())
    if size_bytes > LIMIT_BYTES:
        raise VariantUnavailable(
            f"{called} has {size_bytes} bytes of weights, and one ONNX file holds at most {LIMIT_BYTES}",
            "choose a smaller --model, or a torch variant",
        )
    if isinstance(net, torch.jit.ScriptModule):
        raise VariantUnavailable(
            f"{called} is a TorchScript module, which torch's exporter does not take",
            "let the factory make the Python network that it was scripted from",
        )
    failures: list[Exception] = []
    most = 0.0
    for axes in ways:
        bound = axes is _BOUND
        sizes, limit_s = (network.size,) if bound else _SIZES, _LIMITS_S[bound]
        way = f"at {sizes[0][0]} x {sizes[0][1]} only" if bound else "with free height and width"
        say(f"{way}, for at most {limit_s:g} s of computing")
        try:
            with time_limit(limit_s):
                model = _trace(net, axes, sizes[0], channels)
            onnx.save(model, folder / MODEL_FILE)
            worst = float(np.max([difference_on_images(folder / MODEL_FILE, net, size, channels) for size in sizes]))
            own = 0.0 if worst <= _TOLERANCE else max(own_error(net, size, channels) for size in sizes)
        except MemoryError:
            raise
        except (Exception, TimeLimit) as error:  # exporter, checker and runtime raise what they like
            failures.append(OnnxError(f"{way}: {error}") if isinstance(error, TimeLimit) else error)
            say(f"{way}: failed ({exporter_words(failures[-1])[:200]})")
            continue
        allowed, most = max(_TOLERANCE, min(_TIMES * own, _MOST)), max(most, own)
        if worst <= allowed:
            notes = [f"the ONNX graph takes images of {sizes[0][0]} x {sizes[0][1]} only"] * bound
            if worst > _TOLERANCE:
                told = f"differs from torch by {worst:.0e} of the largest logit, and torch in float32 from float64 by"
                notes.append(f"the network amplifies rounding: its ONNX graph {told} {own:.0e}")
            recipe = {"exporter": "torch.onnx, dynamo", "free_axes": [*axes.values()], "worst_difference": worst}
            return _manifest(model, recipe | ({"size": [*network.size]} if bound else {}), *notes)
        failures.append(
            OnnxError(f"its logits differ from torch by {worst:.1e} of the largest, {allowed:.2g} is allowed")
        )
    remedy = "compare torch, onnx and onnxscript with requirements.txt"
    if own_code(network.model):
        remedy = "where you have a graph of it that runs, give that with --onnx FILE"
    if most > _CHAOTIC:
        remedy = (
            "this network amplifies rounding, as untrained ones do: torch in float32 is "
            f"{most:.1e} of the largest logit from torch in float64, and a right graph is not told from a wrong one; "
            "give trained weights"
        )
    raise ExportError(
        f"no correct ONNX graph of {called} could be made: {exporter_words(failures[-1])}; {remedy}"
    ) from failures[-1]


def behind(error: BaseException) -> BaseException:
    """What a failure of torch's exporter comes from, whose own text is advice in colours."""
    while (cause := error.__cause__) is not None and cause is not error:
        error = cause
    return error


def exporter_words(error: BaseException) -> str:
    """What lies behind a failure of torch's exporter, in words."""
    first = behind(error)
    return ort_words(re.sub(r"\x1b\[[0-9;]*m", "", str(first) or type(first).__name__))


def _trace(net: torch.nn.Module, axes: dict[int, str], size: tuple[int, int], channels: int = 3) -> onnx.ModelProto:
    """The graph of this network with these axes free, traced with images of that size."""
    import torch

    free = {axis: torch.export.Dim(name) for axis, name in axes.items()}
    model = traced(net, (torch.zeros(2, channels, *size),), {}, (free,), ["images"], ["logits"])
    _name_layers(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def traced(
    net: torch.nn.Module,
    args: tuple[torch.Tensor, ...],
    kwargs: dict[str, torch.Tensor],
    free: Any,
    inputs: list[str],
    outputs: list[str],
) -> onnx.ModelProto:
    """The graph of this call, without the exporter's metadata, which holds this machine's paths.

    ``free``: which axes stay free, as ``torch.onnx.export`` takes it. Raises what the exporter raises.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of torch's exporter on itself
        program = torch.onnx.export(
            net,
            args,
            kwargs=kwargs,
            input_names=inputs,
            output_names=outputs,
            dynamo=True,
            dynamic_shapes=free,
            verbose=False,
        )
    assert program is not None  # it is None only with dynamo=False
    model = program.model_proto
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
    return model


def _name_layers(graph: onnx.GraphProto) -> None:
    """Name the weight layers as torch does."""
    weights = {tensor.name for tensor in graph.initializer}
    taken = {node.name for node in graph.node}
    for node in graph.node:
        owners = [name.removesuffix(".weight") for name in node.input if name in weights and name.endswith(".weight")]
        if len(owners) == 1 and owners[0] not in taken:
            node.name = owners[0]
            taken.add(owners[0])


def _manifest(model: onnx.ModelProto, recipe: dict[str, Json], *notes: str) -> Manifest:
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return Manifest(
        recipe={**recipe, "opset": opset},
        size_bytes=model.ByteSize(),
        notes=notes,
    )
