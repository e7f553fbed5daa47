"""Faults planted in small real networks and in ResNet50: the positive controls that ship with the tool.

This loads no runtime. Each says what it does, in which layer it stands and what an explanation must name.
``models.planted.networks`` opens the network that holds it, and ones of random design without any, in which no layer
depends on N by construction.
"""

from dataclasses import dataclass

from isobatch.models.spec.nearest import did_you_mean

FLOAT, BFLOAT16, INT8, RESNET50 = "float", "bfloat16", "int8", "resnet50"


@dataclass(frozen=True)
class Fault:
    """One planted dependence on N."""

    name: str
    summary: str
    network: str
    layer: str
    kind: str  # the class of the layer with the fault, made from the original one
    mechanism: str | None  # the words of method.md that must be named; None: not what this fault is about
    trigger: str | None = None  # likewise

    @property
    def plant(self) -> str:
        """Its dotted path."""
        return f"isobatch.models.planted.{'integers' if self.network == INT8 else 'floats'}:{self.kind}"


FAULTS = (
    Fault(
        "one-ulp",
        "one result of every row is the next float when N > 1",
        FLOAT,
        "hidden",
        "OneUlp",
        "different-algorithm",
    ),
    Fault(
        "summation-tree",
        "one chain of 64 up to N = 2, eight blocks of 8 above",
        FLOAT,
        "hidden",
        "OtherTree",
        "rounding-order",
    ),
    Fault(
        "vector-tail",
        "a sigmoid in vectors of 8; what is left over goes another way",
        FLOAT,
        "scores",
        "Tail",
        "vector-tail",
    ),
    Fault(
        "off-by-one",
        "another order of the epilogue's products when N > 1: about one code in 100,000",
        INT8,
        "conv2",
        "OtherEpilogue",
        "requantization",
    ),
    Fault("saturation", "sums of two products clipped at 16 bits when N > 1", INT8, "conv2", "Clipped", "saturation"),
    Fault(
        "batch-scale",
        "activations scaled by the largest value of the whole batch",
        FLOAT,
        "hidden",
        "BatchScale",
        "dynamic-scale",
    ),
    Fault(
        "mean-leak", "a hundredth of the batch's mean added to every row", FLOAT, "act2", "MeanLeak", "neighbour-leak"
    ),
    Fault("swapped-rows", "the first two rows of a batch change places", FLOAT, "pool", "Swapped", "wrong-row"),
    Fault(
        "threads",
        "another summation tree when N > 1, and only with several threads",
        FLOAT,
        "hidden",
        "OtherTreeInThreads",
        "rounding-order",
        "thread-partition",
    ),
    Fault("cast", "every partial sum cast to bfloat16 when N > 1", BFLOAT16, "hidden", "CastSums", None, "cast"),
    Fault(
        "resnet50-one-ulp",
        "in ResNet50 itself: the results of one convolution are the next float when N > 1",
        RESNET50,
        "layer2.1.conv1",
        "OneUlpConvolution",
        "different-algorithm",
    ),
    Fault(
        "resnet50-tree",
        "in ResNet50 itself: the classifier adds one chain of 2048 up to N = 2, eight blocks of 256 above",
        RESNET50,
        "fc",
        "OtherTree",
        "rounding-order",
    ),
)


def find_fault(name: str) -> Fault:
    """The fault of that name. Raises KeyError naming the nearest known one."""
    known = {fault.name: fault for fault in FAULTS}
    if name in known:
        return known[name]
    raise KeyError(f"unknown fault {name!r}: {did_you_mean(name, known)} Known: {', '.join(known)}")
