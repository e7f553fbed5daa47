"""What looking inside finds, for the synthetic studies: origins, growth and repairs that hang together."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from isobatch.pipeline.records import study as r

SIZES = [2, 3, 4, 8]
SCOPE = "16 images of digits at N = 2, 3, 4, 8, 16, a rotation and an outlier neighbour"


def layers() -> Iterator[tuple[str, str, str]]:
    """(name, kind, signature) of the leaves of ResNet50, in execution order."""
    yield from (("conv1", "conv2d", "7x7"), ("bn1", "batch-norm", ""), ("relu", "relu", ""))
    yield "maxpool", "max-pool", ""
    for stage, depth in enumerate((3, 4, 6, 3), 1):
        for block in range(depth):
            at = f"layer{stage}.{block}"
            for conv in (1, 2, 3):
                size = f"stage {stage}, conv{conv}, {'first' if block == 0 else 'later'}"
                yield f"{at}.conv{conv}", "conv2d", size
                yield f"{at}.bn{conv}", "batch-norm", ""
            if block == 0:
                yield f"{at}.downsample.0", "conv2d", f"stage {stage}, downsample"
            yield f"{at}.add", "add", ""
            yield f"{at}.relu", "relu", ""
    yield from (("avgpool", "average-pool", ""), ("flatten", "flatten", ""), ("fc", "linear", "2048 to 1000"))


LAYERS = tuple(layers())
FoundBy = Literal["captured", "drawn", "provoked", "sibling"]


@dataclass(frozen=True)
class Inside:
    """A variant in short: which layers are origins and how each gave itself away, where its growth begins and ends."""

    origins: dict[str, FoundBy]
    noise: float
    holds: bool | None = True
    changed: int | None = None  # layers the repair changed; None: exactly the origins
    latency: float = 1.01
    throughput: float = 0.99
    note: str = ""
    unreplayed: tuple[str, ...] = ()
    seen_as_deployed: bool = True


def _convs(stage: int) -> dict[str, FoundBy]:
    names = [name for name, kind, _ in LAYERS if name.startswith(f"layer{stage}.") and kind == "conv2d"]
    return {name: "captured" if at < 4 else "sibling" for at, name in enumerate(names) if "conv2" not in name}


INSIDES = {
    "fp32": Inside({"conv1": "drawn", **_convs(3), **_convs(4), "fc": "captured"}, 3.1e-7),
    "bf16": Inside({**_convs(4), "fc": "captured"}, 4.4e-3, throughput=0.97, latency=1.04),
    "int8-x86": Inside(
        {"layer3.0.conv3": "provoked", "layer3.1.conv3": "sibling"},
        2.5e-3,
        changed=53,
        latency=1.93,
        throughput=0.94,
        note="51 layers beyond the origins had to be put in one shape as well",
    ),
    "int8-dynamic": Inside({**_convs(3), "fc": "captured"}, 6.1e-3, throughput=0.98, unreplayed=("flatten",)),
    "ort-int8-dynamic": Inside(
        {name: "captured" for name, kind, _ in LAYERS if kind in ("conv2d", "linear")},
        4.8e-2,
        holds=False,
        note="3 of 16 images still differ at N = 16",
        seen_as_deployed=False,
    ),
}


EXPLANATIONS: dict[str, dict[str, Any]] = {
    "conv2d": {
        "mechanism": "rounding-order",
        "triggers": ["kernel-switch"],
        "explained_by": "layer3.0.conv3",
        "causes": [
            r.CauseFinding(
                name="rounding-order",
                verdict="supported",
                evidence="In float64 the largest difference is 4.4e-16, against 2.4e-07 before.",
                trees={"1": "256 summands: a chain of 256", "4": "256 summands: 2 chains of 128"},
            ),
            r.CauseFinding(name="kernel-switch", verdict="supported", evidence="Logged at N = 1: [SGEMM]."),
        ],
    },
    "linear": {
        "mechanism": "unexplained",
        "explained_by": "fc",
        "causes": [r.CauseFinding(name="made-up", verdict="inconclusive", evidence="<b>These rows</b> show nothing.")],
    },
}


def condition() -> r.Condition:
    return r.Condition(threads=2, image_size=224)


def ratio(median: float, spread: float = 0.02) -> r.Interval:
    return r.Interval(median=median, low95=median * (1 - spread), high95=median * (1 + spread), n=5)


def origin(name: str, found_by: FoundBy, noise: float) -> r.Origin:
    kind, signature = next((kind, signature) for layer, kind, signature in LAYERS if layer == name)
    seen = found_by == "captured"
    differing = {"captured": 7_340, "drawn": 1, "provoked": 12, "sibling": 0}[found_by]
    return r.Origin(
        layer=name,
        kind=kind,
        signature=f"{kind}; {signature}; torch.float32",
        condition=condition(),
        batch_sizes=[2, 3, 4, 8] if kind == "linear" else [4, 8],
        elements_differing=differing,
        elements_tried=4_014_080,
        share=differing / 4_014_080,
        max_abs=noise * 0.8 if seen else 0.0,
        max_ulp=3.0 if seen else None,
        max_abs_relative=noise * (0.2 if kind == "linear" else 0.1) if seen else None,
        found_by=found_by,
        classes=[[1, 2, 3], [4, 8]],
        **EXPLANATIONS.get(kind, {}),
    )


def growth(inside: Inside) -> list[r.Growth]:
    """Nothing before the first origin seen on the images, then a slow climb; ReLU hides a little of it."""
    seen = [at for at, layer in enumerate(LAYERS) if inside.origins.get(layer[0]) == "captured"]
    first = seen[0] if seen else len(LAYERS) // 2
    found = []
    for at, (name, kind, _) in enumerate(LAYERS):
        climb = (at - first) / (len(LAYERS) - first)
        share = 0.0 if at < first else inside.noise * 10 ** (-1.5 + 1.5 * climb) * (0.7 if kind == "relu" else 1.0)
        found.append(r.Growth(layer=name, max_abs=4.1 * share, relative_l2=share))
    return found


def explained(name: str) -> dict[str, Any]:
    """The fields of a VariantResult that looking inside fills; empty for a variant that was not looked into."""
    if (inside := INSIDES.get(name)) is None:
        return {}
    origins = [origin(layer, found_by, inside.noise) for layer, found_by in inside.origins.items()]
    guilty = {one.kind for one in origins}
    trials = 175 * 9_000_000
    repair = r.Repair(
        name="surgical",
        batch_invariant=inside.holds,
        scope=SCOPE,
        layers=inside.changed or len(origins),
        throughput_ratio={n: ratio(inside.throughput) for n in ("8", "16")} if inside.holds else {},
        latency_ratio={"1": ratio(inside.latency)} if inside.holds else {},
        note=inside.note,
    )
    return {
        "origins": origins,
        "origins_complete": bool(inside.holds) and inside.changed is None,
        "locating": r.Locating(
            inputs="digits",
            batch_sizes=SIZES,
            layers=len(LAYERS),
            layers_not_replayable=list(inside.unreplayed),
            trials=trials,
            smallest_rate=3 / trials,
            instrumented_bitwise_equal=inside.seen_as_deployed,
            innocent_kinds=sorted({kind for _, kind, _ in LAYERS} - guilty),
        ),
        "growth": growth(inside),
        "repairs": [repair],
    }


def strange() -> dict[str, Any]:
    """Non-finite differences, nothing tried, a repair whose price has no limits, and one that does not apply."""
    nan, inf = math.nan, math.inf
    one = origin("fc", "captured", 1.0)
    odd = one.model_copy(update={"max_abs": nan, "max_ulp": inf, "elements_tried": 0, "share": nan, "batch_sizes": []})
    unpriced = r.Interval(median=nan, low95=None, high95=None, n=1)
    tiny = r.Interval(median=0.004, low95=-inf, high95=inf, n=2)
    return {
        "origins": [one, odd],
        "origins_complete": False,
        "locating": r.Locating(
            inputs="seed",
            batch_sizes=[],
            layers=1,
            layers_not_replayable=["conv1", "bn1", "relu", "maxpool", "add", "fc"],
            trials=0,
            smallest_rate=nan,
            instrumented_bitwise_equal=False,
            innocent_kinds=[],
            note="the search was cut short.",
        ),
        "growth": [
            r.Growth(layer=f"layer {at}", max_abs=value, relative_l2=value)
            for at, value in enumerate((0.0, 5e-324, 0.0, nan, 1e308, inf, 0.3))
        ],
        "repairs": [
            r.Repair(
                name="surgical",
                batch_invariant=True,
                scope="4 images",
                throughput_ratio={"4": unpriced, "8": tiny},
                latency_ratio={"1": tiny},
            ),
            r.Repair(name="static-scale", batch_invariant=None, scope="", note="nothing here has a dynamic scale"),
        ],
    }
