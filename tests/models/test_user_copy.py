import warnings

import pytest
import torch
from torch import nn

from isobatch.models.user_copy import as_measured, as_module, check_parameters, faking, in_training, told_observing
from isobatch.models.weights.other_networks import why_no_study
from isobatch.pipeline import compare_batch_invariance


def test_a_quantized_part_is_made_in_training_mode_and_is_not_told() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces another way to quantize
        quantized = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    assert any(part.training for part in quantized.modules()) and in_training(quantized) == ()
    quantized[1].train()
    assert in_training(quantized) == ("1",)


def test_parameters_without_values_are_refused_with_a_cure_that_works() -> None:
    with torch.device("meta"):
        net = nn.Linear(4, 3)
    with pytest.raises(TypeError, match=r"load_state_dict\(..., assign=True\)"):
        check_parameters(net)
    net.load_state_dict(nn.Linear(4, 3).state_dict(), assign=True)
    check_parameters(net)


def test_what_holds_quantized_parts_is_told_where_it_is_in_training_mode_itself() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(self.inner(x), 0.5, self.training)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces another way to quantize
        quantized = torch.ao.quantization.quantize_dynamic(Dropping(), {nn.Linear}, dtype=torch.qint8)
    assert in_training(quantized.train()) == ("Dropping",)
    assert in_training(quantized.eval()) == ()


def test_a_frozen_script_has_no_modes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of scripts
        frozen = torch.jit.freeze(torch.jit.script(nn.Linear(4, 3).eval()))
    assert in_training(frozen) == () and as_measured(frozen) is frozen
    assert compare_batch_invariance(frozen, torch.eye(4)).batch_sizes


def test_an_exported_program_is_run_as_its_module_which_has_no_modes() -> None:
    program = torch.export.export(
        nn.Linear(4, 3).eval(), (torch.ones(2, 4),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    module = as_module(program)
    assert isinstance(module, nn.Module) and in_training(module) == () and as_measured(module) is module
    assert compare_batch_invariance(program, torch.eye(4)).batch_sizes


def prepared_for_training() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces another way to quantize
        net.qconfig = torch.ao.quantization.get_default_qat_qconfig("x86")  # type: ignore[assignment]
        return torch.ao.quantization.prepare_qat(net.train()).eval()  # type: ignore[no-untyped-call,no-any-return]


def test_fake_quantization_that_still_observes_is_told_with_a_cure_that_works() -> None:
    net, rows = prepared_for_training(), torch.eye(4) * torch.arange(1, 5)
    assert faking(net) and "imitates quantization" in why_no_study(net)
    assert "torch.ao.quantization.disable_observer" in told_observing(net)
    assert compare_batch_invariance(net, rows).verdict == "not-repeatable"
    net.apply(torch.ao.quantization.disable_observer)
    assert told_observing(net) == "" and compare_batch_invariance(net, rows).verdict != "not-repeatable"
    assert faking(nn.Linear(4, 3)) == () and why_no_study(nn.Linear(4, 3)) == ""


def test_what_a_study_cannot_store_is_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces another way to quantize
        quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), {nn.Linear})
    assert "of its state dict is no tensor" in why_no_study(quantized)
    turning = nn.Linear(4, 3)
    turning.register_buffer("turns", torch.ones(2, dtype=torch.complex64))
    assert "'turns' of its state dict is no dense tensor of real numbers" in why_no_study(turning)
