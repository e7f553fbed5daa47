import subprocess
import sys

import torch

from models.torchvision_compat import STUBBED, torchvision

FAILING_LOAD = """
import torch
def fail(path):
    raise OSError("libcudart.so: cannot open shared object file")
torch.ops.load_library = fail
from models.torchvision_compat import STUBBED, torchvision
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
