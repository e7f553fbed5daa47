"""What launchers import here instead of ``models.preload``: the faulty table, and the only runtime it is used with."""

import importlib

import tests.faulty.table  # noqa: F401 (imported for what it does)

for _module in ("models.onnx_check", "models.ort_build", "models.ort_runner"):
    importlib.import_module(_module)
