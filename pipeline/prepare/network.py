"""The network under study and what it is run on: the first stages of a study, and of a repair."""

from isobatch.pipeline.prepare.inputs import prepare_inputs
from isobatch.pipeline.prepare.own_arrays import of_file
from isobatch.pipeline.prepare.sizes import Exported
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.prepare.weights import NetworkChosen, prepare_weights


def prepare_network(stages: Stages) -> NetworkChosen:
    """The weights and the input sets, stored and hashed. Raises UsageError.

    A factory's network that takes the images in types of its own alone gives way to the ONNX file exported from it.
    """
    with stages.stage("weights"):
        chosen = prepare_weights(stages)
    try:
        with stages.stage("inputs"):
            prepare_inputs(stages, chosen)
            return chosen
    except Exported as instead:
        stages.config = of_file(stages.config, instead.path)
    with stages.stage("weights"):
        chosen = prepare_weights(stages)
    with stages.stage("inputs"):
        prepare_inputs(stages, chosen)
    return chosen
