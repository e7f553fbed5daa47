import subprocess
import sys

import torch

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
