"""A graph whose batch is another axis than the first: turned to the front at its inputs and outputs."""

from collections.abc import Mapping

from onnx import ModelProto, ValueInfoProto, helper

from isobatch.models.ort.external_data import OnnxError
from isobatch.models.ort.graph import rename
from isobatch.models.ort.interface import real_inputs
from isobatch.models.spec.nearest import did_you_mean


def batch_first(model: ModelProto, axes: Mapping[str, int]) -> tuple[str, ...]:
    """Turn the batch of these inputs and outputs to their first axis, by a Transpose at each; what was done, in words.

    ``axes``: by name where the batch is. Raises OnnxError for a name that the graph does not have, and for an axis that
    its array does not have.
    """
    graph = model.graph
    inputs = {value.name: value for value in real_inputs(model)}
    known = inputs | {value.name: value for value in graph.output}
    turned = []
    for name, axis in axes.items():
        if name not in known:
            names = ", ".join(map(repr, known))
            raise OnnxError(f"--batch-axis {name}={axis}: the graph has {names}; {did_you_mean(name, known)}")
        rank = _rank(known[name], name, axis)
        if axis == 0:
            continue
        own = f"{name}/own-axes"
        rename(graph.node, {name: own})
        rest = [place for place in range(rank) if place != axis]
        if name in inputs:
            back = [0 if place == axis else 1 + rest.index(place) for place in range(rank)]
            graph.node.insert(0, helper.make_node("Transpose", [name], [own], f"{own}/Transpose", perm=back))
        else:
            graph.node.append(helper.make_node("Transpose", [own], [name], f"{own}/Transpose", perm=[axis, *rest]))
        dims = [*known[name].type.tensor_type.shape.dim]
        del known[name].type.tensor_type.shape.dim[:]
        known[name].type.tensor_type.shape.dim.extend([dims[axis], *(dims[place] for place in rest)])
        turned.append(f"axis {axis} of {name!r}")
    if not turned:
        return ()
    return (
        f"its batch is {' and '.join(turned)} (--batch-axis): turned to the front by a Transpose inside the graph, "
        "which is what is measured and shipped",
    )


def _rank(value: ValueInfoProto, name: str, axis: int) -> int:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise OnnxError(
            f"--batch-axis {name}={axis}: the file does not say how many axes {name!r} has; set its shape with "
            "onnx.helper.make_tensor_value_info, or export it again with shapes"
        )
    rank = len(tensor.shape.dim)
    if axis >= rank:
        raise OnnxError(f"--batch-axis {name}={axis}: {name!r} has {rank} axes, 0 to {rank - 1}: give one of them")
    return rank
