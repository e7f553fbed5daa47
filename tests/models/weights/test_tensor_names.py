import re

import pytest
import torch

from isobatch.models.weights.checkpoint import WeightsError
from isobatch.models.weights.networks import skeleton
from isobatch.models.weights.state_dicts import State
from isobatch.models.weights.tensor_names import as_named

EXPECTED = ("stem.weight", "layer.0.weight", "layer.1.weight", "fc.weight")
STATE: State = {name: torch.full((1,), float(place)) for place, name in enumerate(EXPECTED)}


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "backbone.", "module._orig_mod.", "a.b.c."])
def test_one_common_prefix_is_left_off_and_said(prefix: str) -> None:
    named = as_named({prefix + name: tensor for name, tensor in STATE.items()}, EXPECTED)
    assert named.state == STATE
    assert named.notes == (f"the prefix {prefix!r} of its names is left off",)
    assert (named.left_out, named.others) == ((), ())


def test_plain_names_stay_and_nothing_is_said() -> None:
    assert as_named(STATE, EXPECTED) == (STATE, (), (), ())


def test_a_network_without_tensors_has_none_to_name() -> None:
    assert as_named({}, ()) == ({}, (), (), ())


def test_a_compiled_part_inside_is_read_as_that_part() -> None:
    compiled = {name.replace("layer.", "layer._orig_mod."): tensor for name, tensor in STATE.items()}
    assert as_named(compiled, EXPECTED).state == STATE


@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_training_alone_needs_is_left_out_and_said(prefix: str) -> None:
    state = {prefix + name: tensor for name, tensor in STATE.items()}
    named = as_named(state | {"criterion.weight": torch.ones(1)}, EXPECTED)
    assert (named.state, named.left_out) == (STATE, ("criterion.weight",))


def test_a_stranger_among_plain_names_stays_to_be_refused() -> None:
    assert "head.weight" in as_named(STATE | {"head.weight": torch.ones(1)}, EXPECTED).state


def test_two_networks_in_one_state_dict() -> None:
    teacher = {f"teacher.{name}": tensor + 10 for name, tensor in STATE.items()}
    both = teacher | {f"student.{name}": tensor for name, tensor in STATE.items()}
    named = as_named(both, EXPECTED)
    assert (named.state, named.others) == (STATE, ("teacher.",))
    assert as_named(both, EXPECTED, "teacher.").state["stem.weight"] == 10
    with pytest.raises(WeightsError, match="they stand behind: 'student', 'teacher'"):
        as_named(both, EXPECTED, "pupil.")


def test_names_of_another_network_are_told_without_the_usual_prefix() -> None:
    assert list(as_named({"module.model.x": torch.ones(1)}, EXPECTED).state) == ["x"]


def older_densenet(name: str) -> str:
    return re.sub(r"(denselayer\d+)\.(norm|conv)(\d)\.", r"\1.\2.\3.", name)


def older_transformer(name: str) -> str:
    return name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2.")


@pytest.mark.parametrize(
    ("model", "older", "count"), [("densenet121", older_densenet, 580), ("vit_b_32", older_transformer, 48)]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_older_names_of_published_weights_become_todays(model: str, older: object, count: int, prefix: str) -> None:
    assert callable(older)
    state = skeleton(model, 3).state_dict()
    counters = {name for name in state if name.endswith("num_batches_tracked")}  # files of that time have none
    old = {prefix + older(name): tensor for name, tensor in state.items() if name not in counters}
    named = as_named(old, state.keys())
    assert named.state.keys() == state.keys() - counters
    assert named.notes[-1] == f"{count} tensors have older names of torchvision and are renamed as it does"
