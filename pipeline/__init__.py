"""From runners to a recommendation. Imports neither torch nor onnxruntime.

For users' own code: ``from isobatch.pipeline import compare_batch_invariance, make_batch_invariant``.
"""

from typing import Any

__all__ = ["BatchInvariance", "CannotRepair", "MadeInvariant", "compare_batch_invariance", "make_batch_invariant"]


def __getattr__(name: str) -> Any:
    """What is for users is imported when it is asked for: the command line starts without it."""
    if name in __all__:
        from isobatch.pipeline import api as user_api

        return getattr(user_api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
