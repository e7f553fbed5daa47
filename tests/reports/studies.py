"""Synthetic studies for the report tests: a full one, one in which everything failed, and an empty one."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.compare.accuracy_by_batch_size import batch_accuracy
from isobatch.pipeline.decide.fixed_point import answer
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.records import study as r
from isobatch.reports.blocks import Figure
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.files.html import html_of
from isobatch.reports.sections import write_all
from tests.fakes import noise_by_size, run
from tests.pipeline.results import race
from tests.reports import explained

CLASSES = 1000
SEED_NS, DIGITS_NS = (2, 3, 4), (2, 3, 4, 8, 16)


class Row(NamedTuple):
    """One variant in short: what distinguishes its numbers."""

    name: str
    precision: str
    noise: float | None  # largest |batched - singles| over the largest |logit|; None: bit-equal
    error: float  # the same against fp64
    latency_ms: float
    speed: float  # images a second at the best N
    size: int
    top1: float
    int8_layers: int = 0
    verdict: r.Verdict | None = None
    effective: str | None = None


ROWS = (
    Row("fp32", "fp32", 3.1e-7, 2.4e-7, 52.0, 19.8, 102_500_000, 0.981),
    Row("fp16", "fp16", 2.2e-4, 4.1e-4, 61.0, 16.2, 51_300_000, 0.981),
    Row("bf16", "bf16", 4.4e-3, 5.2e-3, 24.0, 71.5, 51_300_000, 0.978, verdict="batch-variant"),
    Row("int8-fbgemm", "int8", None, 3.3e-2, 16.4, 58.7, 26_200_000, 0.974, 54),
    Row("int8-x86", "int8", 2.5e-3, 3.4e-2, 12.1, 174.0, 26_200_000, 0.972, 54, verdict="batch-variant"),
    Row("int8-onednn", "int8", 2.5e-3, 2.9e-2, 12.0, 173.0, 26_200_000, 0.975, 54, verdict="batch-variant"),
    Row("int8-dynamic", "int8", 6.1e-3, 6.4e-3, 50.0, 20.1, 96_400_000, 0.980, 1, verdict="batch-variant"),
    Row("ort-fp32", "fp32", 2.7e-7, 2.1e-7, 28.0, 37.4, 102_300_000, 0.981),
    Row("ort-fp16", "fp16", 3.0e-7, 4.0e-4, 30.1, 34.0, 51_200_000, 0.981, effective="fp32"),
    Row("ort-int8", "int8", None, 3.1e-2, 12.6, 106.0, 26_000_000, 0.976, 54),
    Row("ort-int8-qoperator", "int8", None, 3.1e-2, 12.5, 107.5, 26_000_000, 0.976, 54),
    Row("ort-int8-dynamic", "int8", 4.8e-2, 6.0e-2, 20.4, 51.0, 25_900_000, 0.921, 54, verdict="batch-variant"),
)


def condition(size: int, **changed: Any) -> r.Condition:
    return r.Condition(threads=2, image_size=size, **changed)


def comparison(kind: r.ComparisonKind, inputs: str, n: int, images: int, relative: float, **more: Any) -> r.Comparison:
    """A comparison whose measures hang together: ``relative`` 0 means equal bytes."""
    largest_logit = 12.4
    equal, worst = relative == 0, relative * largest_logit
    shares = {"p50": 0.15, "p85": 0.4, "p90": 0.45, "p95": 0.55, "p99": 0.75, "p100": 1.0}
    changes: dict[str, dict[str, Any]] = {"position": {"position": 1}, "neighbours": {"neighbours": "outlier"}}
    fields: dict[str, Any] = {
        "inputs": inputs,
        "condition": condition(400 if inputs == "seed" else 224, **changes.get(kind, {})),
        "kind": kind,
        "batch_size": n,
        "n_images": images,
        "n_images_equal": images if equal else 0,
        "bitwise_equal": equal,
        "n_elements": images * CLASSES,
        "n_elements_differing": 0 if equal else round(images * CLASSES * 0.83),
        "max_abs": worst,
        "max_abs_relative": relative,
        "percentiles": {key: share * worst for key, share in shares.items()},
        "max_ulp": 0.0 if equal else max(1.0, relative / 1.2e-7),
        "ulp_at": None if equal else 0.0431,
        "n_ulp_excluded": 3,
        "relative_l2": relative * 0.6,
        "sqnr_db": math.inf if equal else -20 * math.log10(relative * 0.6),
        "cosine_min": 1.0 if equal else 1 - relative**2,
        "allclose": relative < 1e-5,
        "allclose_tolerance": {"rtol": 1e-5, "atol": 1e-8},
        "top1_flips": 1 if relative > 0.04 else 0,
        "top1_flip_upper95": (0.26 if images > 4 else 0.75) if relative > 0.04 else (0.17 if images > 4 else 0.53),
        "top5_changes": 2 if relative > 0.004 else 0,
    }
    return r.Comparison(**(fields | more))


def comparisons(row: Row) -> list[r.Comparison]:
    made: list[r.Comparison] = []
    for inputs, sizes, images in (("seed", SEED_NS, 4), ("digits", DIGITS_NS, 16)):
        largest = max(sizes)
        for n in sizes:
            noise = 0.0 if row.noise is None else row.noise * (0.6 + 0.4 * n / largest)
            made.append(comparison("batch-vs-singles", inputs, n, images - images % n, noise))
        made += [comparison("repeat", inputs, n, images, 0.0) for n in (1, largest)]
        made.append(comparison("position", inputs, largest, images, 0.0))
        moved = row.noise if row.name.endswith("dynamic") and row.noise else 0.0
        made.append(comparison("neighbours", inputs, largest, images - 1, moved))
        made.append(comparison("vs-reference", inputs, 1, images, row.error))
    return made


def verdict_of(row: Row) -> r.Verdict:
    return row.verdict or ("batch-invariant" if row.noise is None else "top1-stable")


def interval(median: float, spread: float = 0.03) -> r.Interval:
    return r.Interval(median=median, low95=median * (1 - spread), high95=median * (1 + spread), n=12)


def cost(row: Row) -> r.Cost:
    gain = {1: 1000 / row.latency_ms / row.speed, 2: 0.7, 3: 0.75, 4: 0.85, 8: 1.0, 16: 0.97}
    return r.Cost(
        inputs="digits",
        image_size=224,
        latency_ms=interval(row.latency_ms),
        throughput_img_s={str(n): interval(row.speed * share) for n, share in gain.items()},
        size_bytes=row.size,
        peak_memory_bytes=820_000_000,
        drift=0.012,
    )


def by_inputs(row: Row, decided: r.DecidedBy) -> list[r.InputsVerdict]:
    return [
        r.InputsVerdict(
            inputs=inputs,
            verdict=verdict_of(row),
            decided_by=decided,
            n_images=images,
            n_comparisons=comparisons,
            top1_flips=0,
            top1_flip_upper95=bound,
            margin=r.Margin(observed_noise=(row.noise or 0) * 12.4, screened_share=1.0, exposed_images=[]),
            clip_share=0.0004 if row.int8_layers else None,
            clip_layer="layer3.2.conv1" if row.int8_layers else None,
        )
        for inputs, images, comparisons, bound in (("seed", 4, 7, 0.53), ("digits", 16, 9, 0.17))
    ]


def measured(row: Row) -> r.VariantResult:
    same = row.noise is None
    decided = r.DecidedBy(
        inputs="digits",
        condition=condition(224),
        batch_size=None if same else 16,
        why="every row equals its singles row" if same else "13,280 of 16,000 elements differ from the singles",
    )
    split = [[1], [2, 3, 4], [8, 16]]
    drop = 0.981 - row.top1
    return r.VariantResult(
        name=row.name,
        runtime="onnxruntime" if row.name.startswith("ort") else "torch",
        precision=row.precision,
        status="measured",
        summary=f"{row.precision} in its plainest form",
        recipe={"observer": "histogram", "reduce_range": True, "epsilon": math.nan} if row.int8_layers else {},
        effective=r.Effective(
            precision=row.effective or row.precision,
            provider="CPUExecutionProvider" if row.name.startswith("ort") else "cpu",
            int8_layers=row.int8_layers,
            weight_layers=54,
            note="an fp16 graph computed in fp32 between two casts" if row.effective else "",
        ),
        verdict=verdict_of(row),
        decided_by=decided,
        by_inputs=by_inputs(row, decided),
        repeatable=True,
        comparisons=comparisons(row),
        classes=[
            r.BatchClasses(inputs="seed", condition=condition(400), classes=[[1, 2, 3, 4]] if same else split[:2]),
            r.BatchClasses(inputs="digits", condition=condition(224), classes=[[1, 2, 3, 4, 8, 16]] if same else split),
        ],
        fingerprints=[r.Fingerprint(inputs="digits", condition=condition(224), batch_size=1, sha256="ab" * 32)],
        margin=r.Margin(observed_noise=(row.noise or 0) * 12.4, screened_share=1.0, exposed_images=[]),
        accuracy=r.Accuracy(
            top1=row.top1, low95=row.top1 - 0.016, high95=row.top1 + 0.01, n=450, inputs="digits", batch_size=8
        ),
        accuracy_drop=None
        if row.name == "fp32"
        else r.AccuracyDrop(
            value=drop,
            upper95=drop + 0.008,
            n=450,
            only_reference_right=round(450 * drop) + 1,
            only_variant_right=1,
            decided="not-met" if drop > 0.03 else "met",
            needed_n=None,
        ),
        batch_accuracy=[by_n(row)],
        cost=cost(row),
        not_run=[r.NotRun(inputs="seed", what="N = 8, 16", why="the set has 4 images"), *unexplained(row)],
        **explained.explained(row.name),
    )


def by_n(row: Row, margin: float | None = 2.0) -> r.BatchAccuracy:
    """Accuracy by N on the digits: where noise is large, two of 16 answers change, one of them from right to wrong."""
    labels = np.arange(16)
    rows = np.eye(16, dtype=np.float32)
    noise = {8: 2.0} if (row.noise or 0) > 1e-3 else {}
    evidence = run(noise_by_size(rows, noise, images=[3, 5]), 15, DIGITS_NS, probes=False, inputs="digits")
    labels[5] = 9
    by_batch_size = batch_accuracy(evidence, condition(224), labels, np.arange(16), margin)
    assert by_batch_size is not None
    return by_batch_size


def unexplained(row: Row) -> list[r.NotRun]:
    if row.noise is None or row.name in explained.INSIDES:
        return []
    return [r.NotRun(inputs="digits", what="what is inside", why="the runner cannot be looked into", origins=True)]


REFERENCE = r.VariantResult(
    name="fp64",
    runtime="torch",
    precision="fp64",
    status="measured",
    role="reference",
    summary="the reference: float64 singles",
    effective=r.Effective(precision="fp64", provider="cpu", int8_layers=0, weight_layers=54),
    accuracy_note="the reference is never a candidate",
)
MISSING = r.VariantResult(
    name="int8-pt2e",
    runtime="torch",
    precision="int8",
    status="unavailable",
    reason="torchao is not installed",
    remedy="pip install torchao==0.18.0",
)


def raced(variants: Sequence[r.VariantResult]) -> r.Race | None:
    """A race of those of the fast variants that are in the study and measured."""
    names = [variant.name for variant in variants if variant.status == "measured"]
    speeds = {"ort-int8": 106.0, "ort-int8-qoperator": 104.0, "int8-x86": 174.0}
    entered = {name: speed for name, speed in speeds.items() if name in names}
    if not entered:
        return None
    shown = race(**{name.replace("-", "_"): speed for name, speed in entered.items()})
    slow = [r.Rejected(variant=name, why="clearly slower") for name in names if name == "fp32"]
    return shown.model_copy(update={"left_out": slow})


def study(
    variants: list[r.VariantResult],
    decided: bool = True,
    warnings: Sequence[r.Warning_] = (),
    inputs: Sequence[r.InputSet] = (),
) -> r.Study:
    return r.Study(
        run_id="20260314T092653Z-1a2b3c4d",
        created_utc="2026-03-14T09:26:53Z",
        tool=r.Tool(version="0.1.0"),
        environment=r.Environment(
            cpu="AMD EPYC 9R14",
            cores=2,
            memory_bytes=8_200_000_000,
            os="Linux 6.1 x86_64, glibc 2.36",
            python="3.11.2",
            isa_hardware="avx512_vnni, avx512_bf16",
            isa_effective={"torch": "AVX512", "onednn": "avx512_core_bf16"},
            threads=2,
            packages={"torch": "2.13.0+cpu", "onnxruntime": "1.32.0"},
            settings={"MALLOC_TRIM_THRESHOLD_": "4294967296"},
        ),
        config={"variants": "all", "batch_sizes": [2, 3, 4, 8, 16], "limit": math.inf},
        weights=r.Weights(
            source="digits",
            model="resnet50",
            sha256="c0" * 32,
            note="embedded; trained on 8 x 8 digits",
            num_classes=1000,
        ),
        warnings=list(warnings),
        inputs=list(inputs),
        reference="fp64",
        variants=variants,
        answer=answer(variants) if decided else None,
        race=raced(variants) if decided else None,
        recommendation=recommend(variants, r.Policy(max_accuracy_drop=2.0), raced(variants)) if decided else None,
        timing=r.Timing(
            wall_s=104.2,
            forward_s=71.9,
            forward_passes=812,
            images_passed=2950,
            warm_up_s=6.4,
            stages={"artifacts": 3.1, "outputs": 92.0, "compare": 4.4, "reports": 1.2},
            kept_jobs=0,
            peak_memory_bytes=2_310_000_000,
        ),
    )


INPUTS = [
    r.InputSet(
        name="seed",
        source="torch.randn, seed 42069",
        n=4,
        n_files=0,
        shape=[3, 400, 400],
        labelled=False,
        sha256="5e" * 32,
    ),
    r.InputSet(
        name="digits",
        source="scikit-learn digits, held out",
        n=16,
        n_files=17,
        shape=[3, 224, 224],
        labelled=True,
        sha256="d1" * 32,
        skipped=[{"file": "digits/broken.png", "why": "not an image: the file ends after 12 bytes"}],
    ),
]
WARNINGS = [r.Warning_(code="W-WEIGHTS", text="no cached ImageNet weights: the embedded digits weights were used")]


@cache
def full() -> r.Study:
    """Fourteen variants with realistic numbers."""
    return study([REFERENCE, *map(measured, ROWS), MISSING], True, WARNINGS, INPUTS)


@cache
def small() -> r.Study:
    """The reference, two candidates and one that is unavailable: enough to hold a string everywhere."""
    return study([REFERENCE, measured(ROWS[0]), measured(ROWS[9]), MISSING], True, WARNINGS, INPUTS)


@cache
def on_gpu() -> r.Study:
    """Two variants, the first of which ran on a GPU."""
    on_cpu = small()
    at = condition(224).model_copy(update={"device": "cuda", "cuda": CudaOptions(tf32="on")})
    there = measured(ROWS[0])
    priced = cost(ROWS[0]).model_copy(
        update={"device_memory": r.DeviceMemory(allocated_bytes=400_000_000, reserved_bytes=512_000_000)}
    )
    there = there.model_copy(
        update={
            "device": "cuda",
            "cost": priced,
            "comparisons": [one.model_copy(update={"condition": at}) for one in there.comparisons],
        }
    )
    facts = {
        "GPU": "NVIDIA H100 80GB HBM3",
        "GPU memory": "85.0 GB",
        "driver": "580.65",
        "CUDA": "13.0",
        "cuDNN": "91301",
    }
    return on_cpu.model_copy(
        update={
            "variants": [there if variant.name == there.name else variant for variant in on_cpu.variants],
            "environment": on_cpu.environment.model_copy(update={"device": facts}),
        }
    )


@cache
def broken() -> r.Study:
    """Every variant failed."""
    variants = [
        r.VariantResult(
            name=row.name,
            runtime="torch",
            precision=row.precision,
            status="failed",
            reason="the worker died (signal 11) while building",
            remedy="run again with --debug",
            not_run=[r.NotRun(inputs="digits", what="all batch sizes", why="the variant failed")],
        )
        for row in ROWS
    ]
    return study([*variants, MISSING], True, WARNINGS, INPUTS)


@cache
def empty() -> r.Study:
    """Nothing ran and nothing was decided."""
    return r.Study(**study([], decided=False).model_dump() | {"timing": None, "config": {}})


@cache
def strange() -> r.Study:
    """Non-finite outputs, mismatched rows, an unrepeatable variant, zero throughput."""
    row = ROWS[0]
    poisoned = measured(row)
    nan, inf = math.nan, math.inf
    kinds: tuple[tuple[r.ComparisonKind, dict[str, Any]], ...] = (
        ("batch-vs-singles", {"max_abs": nan, "max_abs_relative": nan, "max_ulp": nan, "issues": ("nan",)}),
        ("batch-vs-singles", {"max_abs": inf, "max_abs_relative": inf, "issues": ("inf", "signed-zero")}),
        (
            "batch-vs-singles",
            {"max_abs": None, "max_abs_relative": None, "percentiles": None, "issues": ("shape-mismatch",)},
        ),
        ("repeat", {"allclose": False, "percentiles": {"p85": nan, "p90": -inf, "p95": 0.0, "p99": 1e300}}),
        ("vs-reference", {"sqnr_db": -inf, "relative_l2": nan, "max_abs_relative": nan}),
        ("position", {"top1_flips": None, "top1_flip_upper95": None}),
    )
    made = [comparison(kind, "seed", 4, 4, 0.01, **changed) for kind, changed in kinds]

    def other(name: str, verdict: r.Verdict, **changed: Any) -> r.VariantResult:
        return poisoned.model_copy(update={"name": name, "verdict": verdict, "comparisons": made, **changed})

    slow = cost(row).model_copy(
        update={"throughput_img_s": {"8": r.Interval(median=nan, low95=None, high95=None, n=1)}}
    )
    odd = explained.strange()
    variants = [
        other("poisoned", "invalid", cost=slow, accuracy_drop=None, **odd),
        other("shaky", "not-repeatable", repeatable=False, cost=None, accuracy=None, accuracy_note="no labels"),
        other("bare", "batch-variant", comparisons=[], classes=[], by_inputs=[], decided_by=None, effective=None),
    ]
    return study(variants, False, [], INPUTS)


@cache
def unasked() -> r.Study:
    """The study run with --no-explain."""
    nothing = dict.fromkeys(("origins", "origins_complete", "locating", "growth", "repairs"))
    full_study = full()
    variants = [v.model_copy(update=nothing) for v in full_study.variants]
    return full_study.model_copy(update={"variants": variants, "config": {**full_study.config, "explain": "none"}})


@cache
def mended() -> r.Study:
    """The study in which a repaired variant is recommended."""
    full_study = full()
    assert full_study.recommendation is not None
    paid = r.Against(variant="int8-x86", ratio=interval(0.94), raced=False)
    decided = full_study.recommendation.model_copy(
        update={"chosen": "int8-x86+surgical", "batch_size": 8, "at_work": None, "price_of_stability": paid}
    )
    return full_study.model_copy(update={"recommendation": decided})


ALL = {
    "full": full,
    "broken": broken,
    "empty": empty,
    "strange": strange,
    "unasked": unasked,
    "mended": mended,
    "on_gpu": on_gpu,
}


def draw(figure: Figure) -> str:
    """One figure as an ``<svg>`` element."""
    return Drawings([figure]).svg(figure)


def html_report(study: r.Study) -> str:
    """The report of a study as one HTML document, as ``write_reports`` puts it together."""
    sections = write_all(study)
    return html_of(study, sections, Drawings(block for section in sections for block in section.blocks))
