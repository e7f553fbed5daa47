"""Import this in a launcher that forks: the workers then start in milliseconds.

It only imports. A parallel operation here would leave the children without the threads that ran it, waiting for ever.
"""

import contextlib
import importlib

for _module in (
    "isobatch.models.pytorch.float",
    "isobatch.models.pytorch.int8.build",
    "isobatch.models.weights.resolve",
):
    importlib.import_module(_module)

with contextlib.suppress(ImportError):  # the variants that need it say so themselves
    importlib.import_module("onnxruntime")
