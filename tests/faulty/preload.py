"""What launchers import instead of ``machine.preload``: the faulty table, and the only runtime it is used with."""

import importlib

import tests.faulty.table  # noqa: F401 (imported for what it does)

for _module in ("isobatch.models.ort.check_user_file", "isobatch.models.ort.build", "isobatch.models.ort.runner"):
    importlib.import_module(_module)
