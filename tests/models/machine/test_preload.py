import subprocess
import sys
from pathlib import Path

from tests.waiting import ENDS_S

PRELOAD_AND_FORK = """
import os, sys, torch

def touched(*args, **named):
    raise AssertionError("a launcher that touches CUDA has children that cannot use it")

for name in ("init", "_lazy_init", "is_available", "device_count", "current_device", "get_device_properties"):
    assert hasattr(torch.cuda, name)
    setattr(torch.cuda, name, touched)
import isobatch.models.machine.preload
ours = {f"isobatch.models.{name}" for name in ("pytorch.int8.build", "weights.torchvision_compat")}
print(*sorted(({"torch", "onnxruntime"} | ours) & set(sys.modules)))
sys.stdout.flush()
child = os.fork()
if child == 0:
    torch.set_num_threads(2)
    torch.nn.functional.conv2d(torch.randn(8, 64, 32, 32), torch.randn(64, 64, 3, 3))
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_computes_on_threads_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELOAD_AND_FORK],
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.splitlines() == [
        "isobatch.models.pytorch.int8.build isobatch.models.weights.torchvision_compat onnxruntime torch",
        "7",
    ], done.stderr
