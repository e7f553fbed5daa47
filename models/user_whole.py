"""A whole network run in calls of one number of examples, whatever it takes and gives."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from isobatch.models.spec.runner import Canonical
from isobatch.models.spec.templates.network_canonical import InCanonicalShape, part, put, room
from isobatch.models.user_outputs import mapped


class WholeInParts(InCanonicalShape):
    """As ``InCanonicalShape``, for any number of tensors given and returned. Those with n rows are cut and joined."""

    def __init__(self, inner: nn.Module, rule: Canonical) -> None:
        super().__init__(inner, rule.size, rule.up_to, rule.least)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network makes of these examples."""
        values, spec = tree_flatten((args, kwargs))
        rows = next(value.shape[0] for value in values if isinstance(value, Tensor) and value.dim())
        if self.least <= rows <= self.up_to or rows == self.size:
            return self.inner(*args, **kwargs)
        results = []
        for start in range(0, rows, self.size):
            cut = [
                part(value, start, self.size, self.up_to, self.least) if _has_rows(value, rows) else value
                for value in values
            ]
            given, named = tree_unflatten(cut, spec)
            results.append(self.inner(*given, **named))
        return self._joined(results, rows)

    def _joined(self, results: Sequence[Any], rows: int) -> Any:
        first = results[0]
        if not isinstance(first, Tensor):
            return mapped(results, lambda items, path: self._joined(items, rows))
        calls = range(0, rows, self.size)
        sizes = {min(self.size, max(rows - start, self.least)) for start in calls} | {self.size}
        if not first.dim() or first.shape[0] not in sizes:
            return first  # what all examples share
        whole = room(first, rows)
        for start, result in zip(calls, results, strict=True):
            put(whole, start, result)
        return whole


def _has_rows(value: Any, rows: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == rows
