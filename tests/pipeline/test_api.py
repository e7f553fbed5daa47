import copy
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from isobatch.models.pytorch.runner import torch_threads
from isobatch.pipeline import CannotRepair, compare_batch_invariance
from isobatch.pipeline import make_batch_invariant as make
from isobatch.pipeline.api import compared_with_origin
from isobatch.pipeline.testing import assert_batch_invariant
from tests.models.pytorch.small_networks import Functional, Leak, OneUlpWhenBatched, pixels, seeded, with_planted

IMAGES = pixels(5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that a loaded machine costs no more than its share."""
    with torch_threads(1):
        yield


make_batch_invariant = partial(make, seconds=3600)  # what holds must not depend on the load


def planted() -> nn.Module:
    return with_planted(OneUlpWhenBatched()).eval()


class Masked(nn.Module):
    """Rows that are finite where the first value is -inf, as that of a mask may be, and NaN where it is positive."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.where(images[:, 0, 0, :1] > 0, torch.nan, images[:, 0, 1])


def test_examples_that_are_not_finite_themselves_are_told() -> None:
    unclean = IMAGES.copy()
    unclean[1, 0, 0, 0] = np.nan
    assert compare_batch_invariance(planted(), unclean).reason.endswith(
        "; 1 of these hold such values as they are given"
    )

    masks = np.abs(IMAGES)
    masks[0, 0, 0, 0] = -np.inf
    assert (
        "give NaN" in (told := compare_batch_invariance(Masked().eval(), masks).reason)
        and "as they are given" not in told
    )


def outputs(network: nn.Module, n: int) -> bytes:
    with torch.inference_mode():
        return network(torch.tensor(IMAGES[:n])).numpy().tobytes()


def test_a_planted_difference_is_found_repaired_and_the_original_left_alone() -> None:
    network = planted()
    before = copy.deepcopy(network.state_dict()), outputs(network, 5)
    result = compare_batch_invariance(network, IMAGES)
    assert not result.batch_invariant and result.verdict == "batch-variant"
    assert str(result).startswith("not batch-invariant at N = 2 to 5 (tried N = 2 to 5): ")
    made = make_batch_invariant(network, torch.tensor(IMAGES))
    assert (made.repair.name, made.repair.batch_invariant) == ("surgical", True)
    assert str(made).startswith("surgical (") and str(made).endswith(str(made.verified))
    assert made.repair.layers == 1 and made.repair.latency_ratio["1"].n >= 3
    singles = b"".join(
        made.network(torch.tensor(IMAGES[i : i + 1])).detach().numpy().tobytes() for i in range(len(IMAGES))
    )
    for n in range(1, 6):
        assert singles.startswith(outputs(made.network, n))
    assert compare_batch_invariance(made.network, IMAGES).batch_invariant
    assert (network.state_dict().keys(), outputs(network, 5)) == (before[0].keys(), before[1])


def test_the_record_says_what_was_run_and_no_more() -> None:
    made = make_batch_invariant(planted(), IMAGES, [2, 4])
    assert made.verified.tested.batch_sizes == (2, 4) and made.verified.tested.n_images == 5
    threads = f"{torch.get_num_threads()} thread"
    assert made.repair.scope.startswith(f"N = 2 and 4: 5 examples of float32 [3, 16, 16], {threads}")
    assert all(at_size.n_images == at_size.n_images_equal == 5 for at_size in made.verified.batch_sizes)


def test_a_functional_network_and_one_that_needs_nothing() -> None:
    made = make_batch_invariant(seeded(Functional), IMAGES)
    assert compare_batch_invariance(made.network, IMAGES).batch_invariant
    steady = nn.Sequential(nn.MaxPool2d(4), nn.Flatten())
    assert make_batch_invariant(steady.eval(), IMAGES).repair.name == "native"


def test_a_network_that_mixes_examples_is_not_repaired_by_shapes() -> None:
    with pytest.raises(CannotRepair, match=r"neighbour-leak: the network itself mixes examples"):
        make_batch_invariant(with_planted(Leak()).eval(), IMAGES)


def test_what_no_rung_can_do_says_what_each_one_did() -> None:
    with pytest.raises(CannotRepair, match=r"no repair holds for N = 2 to 5: pow2-scale: it has no"):
        make_batch_invariant(planted(), IMAGES, rungs=["pow2-scale"])


def test_without_time_it_says_so() -> None:
    with pytest.raises(CannotRepair, match=r"time was over \(seconds=0\)"):
        make_batch_invariant(planted(), IMAGES, seconds=0)
    steady = make_batch_invariant(nn.Sequential(nn.MaxPool2d(4), nn.Flatten()).eval(), IMAGES, seconds=0)
    assert steady.not_tried == ("N = 3 to 5 not tried: the time was over (seconds=0)",)
    assert steady.verified.tested.batch_sizes == (2,) and steady.repair.scope.startswith("N = 2: ")


@pytest.mark.parametrize(
    ("network", "images", "sizes", "error", "text"),
    [
        (planted, IMAGES[:1], None, ValueError, "at least two"),
        (planted, IMAGES, [9], ValueError, "never repeated to fill a batch"),
        (planted, IMAGES, [0, 2], ValueError, r"batch sizes \[0, 2\].*numbers from 2"),
        (planted, IMAGES, [], ValueError, "numbers from 2"),
        (planted, IMAGES, [2.5], TypeError, r"batch_sizes=\[2.5\].*whole numbers"),
        (planted, IMAGES, 4, TypeError, "batch_sizes=4.*whole numbers"),
        (planted, "pictures", None, TypeError, "is a str: give an array"),
        (planted, np.array(["a", "b"]), None, TypeError, "is an array of <U1: give an array"),
        (planted, {"x": IMAGES, "y": IMAGES[:3]}, None, ValueError, "different lengths"),
        (planted, {"pictures": IMAGES}, None, TypeError, "cannot be run on 1 of these examples .*unexpected keyword"),
        (lambda: 3, IMAGES, None, TypeError, "cannot open a int"),
        (lambda: b"no graph", IMAGES, None, ValueError, "not an ONNX file"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)).eval(),
            IMAGES,
            None,
            TypeError,
            "1.weight.*call it once",
        ),
        (lambda: MadeLater().eval(), IMAGES, None, TypeError, "made by the network's first call .weight."),
        (lambda: Turned().eval(), IMAGES, None, TypeError, r"\[16, n\], with the examples on axis 1: .* \[n, ...\]"),
        (lambda: Averaged().eval(), IMAGES, None, TypeError, r"one row for each example is expected, \[n, ...\]"),
        (lambda: Nothing().eval(), IMAGES, None, TypeError, "no output has one row for each example"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(
    network: Any, images: Any, sizes: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        compare_batch_invariance(network(), images, sizes)


def test_batch_sizes_may_be_an_array() -> None:
    assert compare_batch_invariance(planted(), IMAGES, np.array([2, 4])).tested.batch_sizes == (2, 4)


@pytest.mark.parametrize("asked", [{"objective": "speed"}, {"rungs": ("surgery",)}, {"rungs": ()}])
def test_an_objective_or_a_rung_that_does_not_exist_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"there are (throughput|per-sample-scale), "):
        make_batch_invariant(planted(), IMAGES, **asked)


@pytest.mark.parametrize("kind", [torch.complex64, torch.complex128], ids=str)
def test_complex_outputs_are_compared_by_both_parts(kind: torch.dtype) -> None:
    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * (1 + 1j * len(x))).to(kind)

    half = compare_batch_invariance(Turned().eval(), np.ones((4, 3), np.float32), [4]).batch_sizes[0]
    assert (half.n_images_equal, 2 * half.elements_differing, half.max_abs) == (0, half.elements, 3.0)


class MadeLater(nn.Module):
    """Makes its weight when it is called first."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "weight"):
            self.weight = nn.Parameter(torch.randn(768, 3))
        return x.flatten(1) @ self.weight


class Turned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax((1, 2)).T


class Averaged(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(0)


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"loss": None, "text": "none"}


def test_a_row_that_is_the_same_for_every_example_proves_nothing() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 2)).eval()
    nn.init.zeros_(network[1].weight)  # type: ignore[arg-type]
    result = compare_batch_invariance(network, IMAGES)
    assert result.verdict == "invalid" and "same output row" in str(result)
    with pytest.raises(AssertionError, match="proves nothing"):
        assert_batch_invariant(network, IMAGES)
    assert "all examples are the same" in str(compare_batch_invariance(planted_steady(), np.repeat(IMAGES[:1], 3, 0)))


def planted_steady() -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(4), nn.Flatten()).eval()


def test_the_assertion_names_the_origin_of_the_largest_difference() -> None:
    assert_batch_invariant(planted_steady(), IMAGES)
    assert_batch_invariant(planted(), IMAGES, relative_tolerance=1e-3)
    with pytest.raises(AssertionError, match=r"at N = .* differs? from the singles, .*; it starts in 1 \("):
        assert_batch_invariant(planted(), IMAGES)
    small_then_large = nn.Sequential(OneUlpWhenBatched(), nn.MaxPool2d(4), Leak(), nn.Flatten()).eval()
    assert str(compared_with_origin(small_then_large, IMAGES, None, 0.0)[1]).startswith(
        "2 (leak), at N = 2 and 5: neighbour-leak; 1 more origin, the first of them 0 (one-ulp-when-batched)"
    )


class Eventful(nn.Module):
    """Parameters, buffers, hooks, a counter and a memory: everything that a run could change in a user's module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("calls", torch.zeros(1))
        self.seen: list[int] = []
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        self.seen.append(len(x))
        return self.norm(self.conv(x)).mean((2, 3))


def state(network: Eventful) -> Any:
    values = {name: value.detach().numpy().tobytes() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), sorted(vars(m))) for m in network.modules()]
    grads = [(parameter.requires_grad, parameter.grad is None, id(parameter)) for parameter in network.parameters()]
    return values, modes, hooks, grads, network.count, list(network.seen), torch.get_rng_state().tolist()


@pytest.mark.parametrize("training", [(), ("norm",), ("", "conv", "norm")])
def test_the_users_object_is_never_changed(training: tuple[str, ...]) -> None:
    network = Eventful().eval()
    network.norm.register_forward_hook(lambda module, inputs, output: output * 2)
    for name in training:
        network.get_submodule(name).training = True
    before = state(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        compare_batch_invariance(network, IMAGES)
        try:
            assert_batch_invariant(network, IMAGES)
        except AssertionError as error:
            assert "it starts in" in str(error)
    try:
        made = make_batch_invariant(network, IMAGES)
    except ValueError as error:
        assert training and "training mode" in str(error)
    else:
        assert not training and not made.network.training
    assert state(network) == before


def test_a_submodule_in_training_mode_is_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()).eval()
    network[1].train()
    with pytest.raises(ValueError, match=r"^'1' is in training mode.*call .eval\(\)"):
        make_batch_invariant(network, IMAGES)
    with pytest.warns(UserWarning, match=r"^'1' is in training mode"):
        assert not compare_batch_invariance(network, IMAGES).batch_invariant
    with pytest.warns(UserWarning), pytest.raises(AssertionError, match=r"starts in 1 \(batch-norm\)"):
        assert_batch_invariant(network, IMAGES)


def test_a_call_that_fails_in_training_mode_says_what_to_call() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4), nn.Flatten())
    with pytest.warns(UserWarning), pytest.raises(TypeError, match=r"more than 1 value .*; it is .* call .eval\(\) on"):
        compare_batch_invariance(network, IMAGES)
    with pytest.raises(TypeError, match=r"cannot be run on 1(?!.*eval)"):
        compare_batch_invariance(network.eval(), IMAGES[:, :2])


@dataclass
class Answer:
    logits: Tensor
    boxes: tuple[Tensor, Tensor]


class Many(nn.Module):
    """Two inputs, and outputs in a dict, a tuple or a dataclass, one of which depends on N."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.table = nn.Embedding(7, 3)
        self.planted = OneUlpWhenBatched()

    def forward(self, image: Tensor, words: Tensor) -> Any:
        logits = self.planted(image.amax((2, 3)))
        boxes = self.table(words), words
        if self.kind == "dict":
            return OrderedDict(loss=None, logits=logits, boxes=boxes)
        return (logits, boxes) if self.kind == "tuple" else Answer(logits, boxes)


@pytest.mark.parametrize(("kind", "place"), [("dict", "logits"), ("tuple", "0"), ("dataclass", "logits")])
@pytest.mark.parametrize("rungs", [("surgical",), ("pin-shape",)])
def test_several_inputs_and_outputs_are_compared_one_by_one_and_repaired(
    kind: str, place: str, rungs: tuple[str, ...]
) -> None:
    words = np.random.default_rng(0).integers(0, 7, (5, 4))
    inputs = {"image": IMAGES, "words": words} if kind == "dict" else (IMAGES, words)
    compared = compare_batch_invariance(seeded(lambda: Many(kind)), inputs)
    assert f"in output '{place}'" in str(compared) and len(compared.outputs) == 3
    assert compared.tested.inputs.endswith("int64 [4]")
    made = make_batch_invariant(seeded(lambda: Many(kind)), inputs, rungs=rungs)
    assert made.repair.name == rungs[0]  # in which shape, times decide: both make the network invariant
    result = made.network(torch.tensor(IMAGES), torch.tensor(words))
    assert type(result) is {"dict": OrderedDict, "tuple": tuple, "dataclass": Answer}[kind]
    assert compare_batch_invariance(made.network, (IMAGES, words)).batch_invariant


def test_an_onnx_graph_with_dynamic_quantization(tmp_path: Any) -> None:
    from tests.models.ort.small_onnx import build, classifier, request

    artifact = build("ort-int8-dynamic", request(tmp_path, classifier(), calibration=IMAGES), tmp_path)
    path = artifact.folder / "model.onnx"
    varied = pixels(5, side=16) * torch.tensor([0.5, 1, 2, 3, 4]).reshape(5, 1, 1, 1).numpy()
    assert not compare_batch_invariance(path, varied).batch_invariant
    made = make_batch_invariant(path.read_bytes(), varied)
    assert isinstance(made.network, onnx.ModelProto)
    assert made.repair.batch_invariant
    assert compare_batch_invariance(made.network, varied).batch_invariant


def test_how_many_elements_and_answers_change_and_which_sizes_agree() -> None:
    result = compare_batch_invariance(planted(), IMAGES)
    one = result.batch_sizes[0]
    assert 0 < one.elements_differing <= one.elements and one.flips == 0
    assert result.classes == ((1,), (2, 3, 4, 5))
    assert compare_batch_invariance(Reversing().eval(), IMAGES).batch_sizes[0].flips == 5


class Reversing(nn.Module):
    """In a batch of two each row is turned round: so is its largest value."""

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1)[:, :3].cumsum(1).abs().cumsum(1)
        return rows.flip(1) if len(images) == 2 else rows


class SeveralTypes(nn.Module):
    """The part that is named first is float16; the one of float32 runs first, unless ``short``."""

    def __init__(self, short: bool) -> None:
        super().__init__()
        self.low, self.high, self.short = nn.Linear(6, 6).half(), nn.Linear(6, 6), short

    def forward(self, rows: Tensor) -> Tensor:
        return self.high(self.low(rows).float()) if self.short else self.low(self.high(rows).half())


@pytest.mark.parametrize("short", [True, False])
def test_parts_of_several_types_are_given_float32_or_what_the_first_of_them_is(short: bool) -> None:
    result = compare_batch_invariance(SeveralTypes(short).eval(), torch.rand(4, 6), [2, 4])
    assert {size.batch_size for size in result.batch_sizes} == {2, 4}


class OfAllRows(nn.Module):
    """A product of every row with every other one, by a keyword alone."""

    def forward(self, *, rows: Tensor) -> Tensor:
        return rows @ rows.T


def test_rows_of_another_shape_are_called_that_and_a_keyword_gets_the_only_input() -> None:
    result = compare_batch_invariance(OfAllRows().eval(), torch.rand(4, 6), [2, 4])
    assert result.verdict == "batch-variant" and "nan" not in str(result)
    assert "by more than a number tells: rows of another shape or type, or NaN" in str(result)
