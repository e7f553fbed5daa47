"""Import this in a launcher that forks: the workers then start in milliseconds.

It only imports. A parallel operation here would leave the children without the threads that ran it, waiting for ever.
"""

import contextlib
import importlib

for _module in ("models.torch_float", "models.torch_int8", "models.weights"):
    importlib.import_module(_module)

with contextlib.suppress(ImportError):  # the variants that need it say so themselves
    importlib.import_module("onnxruntime")
