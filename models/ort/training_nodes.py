"""What in a graph belongs to training: nodes that mix the batch or draw numbers, named with the cure."""

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from isobatch.models.ort.external_data import find_messages
from isobatch.models.ort.graph import stored_tensors

DRAWING = ("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Bernoulli", "Multinomial")
_SHOWN = 3
_CURE = "call net.eval() before torch.onnx.export, or torch.onnx.export(..., training=torch.onnx.TrainingMode.EVAL)"


def training_remarks(model: ModelProto) -> tuple[str, ...]:
    """One sentence for each kind of node that an exported network should not have; nothing where there is none."""
    nodes = list(find_messages(model, NodeProto))
    stored = stored_tensors(model, nodes).items()
    on = {
        name for name, tensor in stored if tensor.data_type == TensorProto.BOOL and numpy_helper.to_array(tensor).any()
    }
    mixing = [node for node in nodes if node.op_type == "BatchNormalization" and _trains(node)]
    dropping = [node for node in nodes if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in on]
    drawing = [node for node in nodes if node.op_type in DRAWING]
    remarks = []
    if mixing:
        remarks.append(
            f"{_named(mixing)} normalises by the statistics of the batch (training_mode=1), so that images change one "
            f"another's answers: {_CURE}"
        )
    if dropping:
        remarks.append(f"{_named(dropping)} is in training mode: {_CURE}")
    if drawing:
        remarks.append(f"{_named(drawing)} draws random numbers in each call: where it is dropout, {_CURE}")
    return tuple(remarks)


def _trains(node: NodeProto) -> bool:
    return any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)


def _named(nodes: list[NodeProto]) -> str:
    names = [repr(node.name or node.output[0]) for node in nodes]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"the {nodes[0].op_type} node {', '.join(names[:_SHOWN])}{more}"
