import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from isobatch.models.spec.deployed import code_files
from isobatch.models.weights.random_weights import random_state
from isobatch.models.weights.torchvision_compat import STUBBED, torchvision

FAILING_LOAD = """
import torch
def fail(path):
    raise OSError("libcudart.so: cannot open shared object file")
torch.ops.load_library = fail
from isobatch.models.weights.torchvision_compat import STUBBED, torchvision
assert STUBBED
try:
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except (RuntimeError, NotImplementedError):
    print("no kernel")
print(tuple(torchvision.models.resnet18(weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape))
"""


def test_classifiers_run() -> None:
    network = torchvision.models.resnet18(weights=None).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_stubbed_says_whether_torchvisions_own_operators_are_there() -> None:
    assert torchvision.extension._has_ops() is not STUBBED
    assert hasattr(torch.ops.torchvision, "nms")
    assert hasattr(torch.ops.torchvision, "qnms")


def test_without_the_extension_only_the_schemas_are_there() -> None:
    done = subprocess.run([sys.executable, "-c", FAILING_LOAD], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["no kernel", "(1, 1000)"], done.stderr


LATER = """
import sys
from isobatch.models.weights.torchvision_compat import torchvision
from torchvision.ops import roi_align
print([name for name in sys.modules if name.startswith(("torch._dynamo", "sympy"))])
from torchvision.ops.roi_align import is_compile_supported
print(is_compile_supported("cpu"), sys.modules["torch._dynamo.utils"].is_compile_supported("cpu"))
"""

WANTED_NOW = """
import sys
from isobatch.models.spec.templates.network_torchvision import compiler_later
with compiler_later():
    from torch._dynamo.utils import is_compile_supported
    from torch._dynamo.utils import istype
assert sys.modules["torch._dynamo.utils"].istype is istype
import torch._dynamo
print(torch._dynamo.utils.istype is istype)
"""


def test_torchs_compiler_is_loaded_when_it_is_asked_and_not_before() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "True True"], done.stderr


def test_what_is_wanted_at_once_is_the_compilers_own() -> None:
    done = subprocess.run([sys.executable, "-c", WANTED_NOW], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["True"], done.stderr


SHIPPED = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, ".")
from network import opened
settings = {"engine": "x86", "type": "float32", "memory_format": "contiguous"}
run = opened(Path("."), settings, 1)
print(run(np.zeros((2, 3, 64, 64), np.float32)).shape, {"torch._dynamo", "sympy", "isobatch"} & {*sys.modules})
"""


def test_a_shipped_loader_does_not_load_torchs_compiler(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_bytes(code_files("torch")["network.py"])
    (tmp_path / "network.json").write_text(json.dumps({"model": "squeezenet1_0", "num_classes": 3}))
    save_file(random_state("squeezenet1_0", 3), tmp_path / "weights.safetensors")
    command = [sys.executable, "-I", "-c", SHIPPED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["(2, 3) set()"], done.stderr
