"""A torch network in which chosen layers are run in one shape, so that their rows cannot depend on N."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Self

from torch import nn
from torch._ops import OpOverload

from isobatch.models.pytorch.calls import Call, Interceptor, entrances, shallow_copy
from isobatch.models.pytorch.find_layers import OWN, Unit
from isobatch.models.pytorch.layers import InspectableTorchRunner
from isobatch.models.spec.runner import WHOLE, Canonical
from isobatch.models.spec.templates.network_canonical import Cut
from isobatch.models.spec.templates.network_torch import with_repair
from isobatch.models.spec.words import VariantUnavailable


class RewritableTorchRunner(InspectableTorchRunner):
    """Modules are replaced by ones that cut their rows; operations between modules are intercepted as they run."""

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Self:
        """A live runner of the same weights in which these layers follow their rules; close this one last.

        Raises RuntimeError before the first ``watch``, which finds the layers, KeyError for a layer that it did not
        find, and VariantUnavailable for one whose batch axis is not the first, or that one module makes in several
        calls with different rules.
        """
        if whole := rules.get(WHOLE) or rules.get(OWN):
            return self.in_one_shape(self.net, whole)
        units = {**self.known_layers(), **self._around}
        inside = [
            name for name in rules if any(name.startswith(f"{around}.") for around in rules.keys() & self._around)
        ]
        modules, operations = _cuts((units[name], rule) for name, rule in rules.items() if name not in inside)
        # each module once, as plain numbers, by which a deployment makes the cuts again
        layers = [
            {"module": path, "methods": list(entrances(self.net.get_submodule(path))), **asdict(cut)}
            for path, cut in modules.items()
        ]
        net = with_repair(shallow_copy(self.net), {"layers": layers})
        twin = self.twin(_Intercepted(net, operations) if operations else net)
        if operations:
            twin.files = ()
            twin.unwritten = "its repair changes operations between modules, which only Isobatch can intercept"
        else:
            twin.change = {**self.change, "layers": [*self.change.get("layers", ()), *layers]}
        return twin

    def twin(self, net: nn.Module) -> Self:
        """As of every torch runner; its layers are found anew."""
        twin = super().twin(net)
        twin._units = None
        return twin


def _cuts(rules: Iterable[tuple[Unit, Canonical]]) -> tuple[dict[str, Cut], dict[str, Cut]]:
    """The cuts of modules by path, and those of operations by the names of their calls."""
    modules: dict[str, Cut] = {}
    operations: dict[str, Cut] = {}
    for unit, rule in rules:
        cut = _cut(unit, rule)
        name = unit.layer.name
        if isinstance(unit.original, OpOverload):
            operations[name] = cut
        elif modules.setdefault(name.partition("#")[0], cut) != cut:
            raise VariantUnavailable(
                f"the module of {name} is called several times with different rules", "give all its calls one rule"
            )
    return modules, operations


def _cut(unit: Unit, rule: Canonical) -> Cut:
    if unit.crosses:
        raise VariantUnavailable(
            f"{unit.layer.name} reads across the images of a batch: in parts it is another network",
            "serve images one at a time, or mend the network",
        )
    for slot in (*unit.slots, *unit.results):
        if slot is not None and slot.axis != 0:
            raise VariantUnavailable(
                f"the batch axis of {unit.layer.name} is number {slot.axis}, and only the first can be cut",
                "choose a repair of the whole network",
            )
    given = tuple(slot.per_image if slot else None for slot in unit.slots)
    return Cut(rule.size, rule.up_to, rule.least, given, tuple(slot.per_image for slot in unit.results if slot))


class _Intercepted(nn.Module):
    """A network in which some operations are cut; in-place ones leave their result where they found their input."""

    def __init__(self, net: nn.Module, operations: Mapping[str, Cut]) -> None:
        super().__init__()
        self.net = net
        self.training = net.training
        self._operations = operations
        self._run = Interceptor(net, self._handle)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network's result."""
        return self._run(*args, **kwargs)

    def _handle(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        cut = self._operations.get(call.name)
        if cut is None:
            return function(*args, **kwargs)
        result = cut(function, *args, **kwargs)
        return args[0].copy_(result) if function._schema.is_mutable else result  # type: ignore[attr-defined]
