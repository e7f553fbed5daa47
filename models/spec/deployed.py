"""The code files of a deployment: the same for every network, put together from templates. Imports no runtime."""

from functools import cache
from pathlib import Path

LOADER, NETWORK, REPAIR_FILE = "infer.py", "network.py", "repair.json"
_PARTS = Path(__file__).with_name("templates")
_MARK = "# -- from here on: part of every script --\n"
_TORCH = ("network_torchvision", "network_canonical", "network_int8", "network_compiled", "network_torch")
_TORCH_HEADER = '''"""The network of this folder, made from plain numbers. Needs torch, torchvision and numpy.

Nothing in this file was made for one network: what is particular stands in weights.safetensors, network.json (of a
float network) or layers.json (of an int8 network), repair.json (where the network was repaired) and settings.json.
"""

import importlib.util
import itertools
import json
import math
import re
import sys
import threading
import time
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.ao.nn.quantized import dynamic as nnqd
from torch.utils._pytree import tree_flatten, tree_unflatten
'''


@cache
def code_files(runtime: str) -> dict[str, bytes]:
    """The bytes of ``infer.py`` and ``network.py`` by name. ``runtime``: ``torch`` or ``onnxruntime``."""
    if runtime == "onnxruntime":
        network = _text("network_ort")
    else:
        network = "".join([_TORCH_HEADER, *(_text(name).partition(_MARK)[2] for name in _TORCH)])
    return {LOADER: _text("infer").encode(), NETWORK: network.encode()}


def _text(name: str) -> str:
    return (_PARTS / f"{name}.py").read_text(encoding="utf-8")
