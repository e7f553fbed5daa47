import pytest
import torch

from isobatch.models.weights.model_name import ModelName, channels_of, read_name
from isobatch.models.weights.networks import architecture, quantizable_skeleton, skeleton, stem
from isobatch.models.weights.random_weights import random_state


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resnet18", ModelName("resnet18")),
        ("resnet18[channels=1]", ModelName("resnet18", 1)),
        ("inception_v3[transform_input=no]", ModelName("inception_v3", 3, False)),
        ("googlenet[channels=3,transform_input=yes]", ModelName("googlenet", 3, True)),
    ],
)
def test_the_facts_of_a_name(text: str, name: ModelName) -> None:
    assert read_name(text) == name
    assert read_name(str(name)) == name


@pytest.mark.parametrize("fact", ["channels=0", "channels=many", "transform_input=no", "depth=3", ""])
def test_an_unknown_fact_is_refused_with_those_there_are(fact: str) -> None:
    with pytest.raises(ValueError, match="is no fact of resnet18: there are channels"):
        read_name(f"resnet18[{fact}]")


def test_networks_are_built_with_their_facts() -> None:
    for name, wanted in (("[transform_input=no]", False), ("[transform_input=yes]", True), ("", True)):
        assert skeleton(f"inception_v3{name}", 2).transform_input is wanted
    for net in (skeleton("resnet18[channels=1]", 2), quantizable_skeleton("resnet18[channels=1]", 2)):
        assert net is not None
        first = stem(net)
        assert first is not None and first[1].weight.shape == (64, 1, 7, 7)
    assert channels_of("resnet18[channels=1]") == 1


def test_random_weights_of_a_network_of_grey_images() -> None:
    state = random_state("shufflenet_v2_x0_5[channels=1]", 3)
    net = architecture("shufflenet_v2_x0_5[channels=1]", 3)
    net.load_state_dict(state)
    with torch.inference_mode():
        assert net(torch.ones(2, 1, 32, 32)).shape == (2, 3)
