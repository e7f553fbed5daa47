"""The lines that deploy a choice: the command that writes its artifact, and the Python that serves it."""

from __future__ import annotations

import shlex

FOLDER = "deploy"
ARTIFACTS = {"torch": "network.pt", "onnxruntime": "network.onnx"}
"""The deployable file of each runtime."""

_SERVE = {
    "torch": (
        "import torch",
        "torch.set_num_threads({threads})",
        'network = torch.jit.load("{path}").eval()',
        "with torch.inference_mode():",
        "    logits = network(images)  # float32 [n, 3, height, width]",
    ),
    "onnxruntime": (
        "import onnxruntime",
        "options = onnxruntime.SessionOptions()",
        "options.intra_op_num_threads = {threads}",
        'providers = ["CPUExecutionProvider"]',
        'session = onnxruntime.InferenceSession("{path}", options, providers)',
        "(logits,) = session.run(None, {{session.get_inputs()[0].name: images}})",
    ),
}


def deployment(name: str, runtime: str, threads: int, device: str = "cpu") -> str:
    """Shell commands, then Python, for a variant or a repaired variant such as ``fp32+surgical``.

    ``threads``: those it was measured with. The folder also gets a ``serve.py`` with the settings that the verification
    record names (threads, engine). What ran on another device is deployed from Python alone: ``repair`` and ``verify``
    are commands of the CPU.
    """
    variant, _, rung = name.partition("+")
    if device != "cpu":
        return "\n".join(_ON_DEVICE if rung else _ON_DEVICE[:1]).format(device=device, type=_TYPES[variant]) + "\n"
    command = ["python", "run.py", "repair", "--variant", variant, *(["--rung", rung] if rung else []), "--out", FOLDER]
    path = f"{FOLDER}/{ARTIFACTS[runtime]}"
    python = "\n".join(_SERVE[runtime]).format(path=path, threads=threads)
    return f"{shlex.join(command)}\npython run.py verify {FOLDER}/record.json\n\n{python}\n"


_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_ON_DEVICE = (
    'network = network.eval().to("{device}", torch.{type})  # the switches of the study: see its conditions',
    "from isobatch.pipeline import make_batch_invariant",
    "network = make_batch_invariant(network, images).network  # verified on these images, where the network is",
)

_COMMON = '''"""Serves {artifact} with the settings it was verified with. Needs numpy and {runtime}, and nothing else.

    python serve.py IMAGES.npy N [N ...]

prints, for each N, the SHA-256 of the logits' bytes of all images (float32 [n, channels, height, width]) run N at a
time; where N is a power of two or the last one asked for, also with the first batch rotated by one place (rows put
back in order). Equal sums: batch-invariant. peak_bytes is the most memory that this process has had.
"""

import hashlib
import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
{load}

STREAMS = {streams}  # images of a batch run alone, so many at a time; 1: batches as they come
POOL = ThreadPoolExecutor(STREAMS)


def serve(images):
    """Logits [n, classes] of float32 images [n, channels, height, width]."""
    if STREAMS == 1:
        return run(images)
    return np.concatenate([*POOL.map(run, np.split(images, len(images)))])


def digests(images, n, turn):
    """The SHA-256 of the rows of all images, in order, run n at a time; with turn also with the first batch rotated.

    Images left over at the end run together.
    """
    plain, rotated = hashlib.sha256(), hashlib.sha256()
    for start in range(0, len(images), n):
        rows = np.ascontiguousarray(serve(np.ascontiguousarray(images[start : start + n])))
        plain.update(rows.tobytes())
        if turn and start == 0:
            turned = serve(np.ascontiguousarray(np.roll(images[:n], 1, axis=0)))
            rows = np.ascontiguousarray(np.roll(turned, -1, axis=0))
        rotated.update(rows.tobytes())
    return plain.hexdigest(), rotated.hexdigest() if turn else None


if __name__ == "__main__":
    given = np.load(sys.argv[1], allow_pickle=False)
    asked = list(map(int, sys.argv[2:]))
    for n in asked:
        plain, rotated = digests(given, n, n > 1 and (n & (n - 1) == 0 or n == asked[-1]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({{"n": n, "plain": plain, "rotated": rotated, "peak_bytes": peak}}), flush=True)
'''
_LOAD = {
    "torch": """import torch

torch.set_num_threads({threads})
torch.backends.quantized.engine = {engine!r}
NETWORK = torch.jit.load(str(Path({path})), map_location="cpu").eval()


def run(images):
    with torch.inference_mode():
        logits = NETWORK(torch.from_numpy(images))
    return (logits.view(torch.uint16) if logits.dtype == torch.bfloat16 else logits).numpy()""",
    "onnxruntime": """import onnxruntime

OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = {threads}
OPTIONS.inter_op_num_threads = 1
OPTIONS.log_severity_level = 4
if not {optimise}:  # it was optimised before it was repaired
    OPTIONS.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
SESSION = onnxruntime.InferenceSession(str(Path({path})), OPTIONS, providers=["CPUExecutionProvider"])


def run(images):
    return SESSION.run(None, {{SESSION.get_inputs()[0].name: images}})[0]""",
}


def serve_script(runtime: str, threads: int, streams: int, engine: str, optimise: bool, path: str | None) -> str:
    """A Python file that serves an artifact without this project. ``path``: None for the file beside the script."""
    where = f"__file__).with_name({ARTIFACTS[runtime]!r}" if path is None else repr(path)
    load = _LOAD[runtime].format(threads=threads, engine=engine, optimise=optimise, path=where)
    return _COMMON.format(artifact=ARTIFACTS[runtime], runtime=runtime, load=load, streams=streams)
