"""The frozen records of a study: the project's glossary in code, and the shape of ``report.json``.

Every record is validated at birth. Numbers carry their unit in the name. A stage that has not run leaves ``None``.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema, field_serializer, model_validator

from isobatch.models.spec.change import AS_BEFORE, Change, OwnThreads
from isobatch.models.spec.plain import without_defaults
from isobatch.models.spec.words import CudaOptions

SCHEMA_VERSION = 1

Verdict = Literal["batch-invariant", "top1-stable", "batch-variant", "not-repeatable", "invalid"]
VERDICTS: tuple[Verdict, ...] = ("batch-invariant", "top1-stable", "batch-variant", "not-repeatable", "invalid")
"""From best to worst: a variant's own verdict is the worst over its input sets."""

Real = Annotated[
    float,
    PlainSerializer(lambda value: value if math.isfinite(value) else str(float(value)), when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}),
]
"""A float64 whose non-finite values are written as the strings "nan", "inf" and "-inf", never as null."""

VOLATILE: dict[str, Any] = {"volatile": True}
"""Marks, in the JSON Schema, a key that depends on the clock or on measured time."""


class Record(BaseModel):
    """Base of all records: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


NEIGHBOURS = ("outlier", "zeros", "constant", "random", "worst")
"""What may replace the last image of every batch; ``worst``: of several tried, what moved the others most."""


COPIES = "copies"


class Condition(Record):
    """What is fixed while N changes.

    ``position``: by how many places the images of a batch are rotated.
    ``neighbours``: ``natural`` (the images that follow in the set), what replaced the last image of each batch, or
    ``copies`` (the batch holds one image only).
    """

    threads: int = Field(ge=1)
    isa: str = "native"
    image_size: int = Field(ge=1)
    memory_format: str = "contiguous"
    device: str = "cpu"
    cuda: CudaOptions | None = None  # None on the CPU
    position: int = 0
    neighbours: str = "natural"


class Interval(Record):
    """A median of ``n`` timings with its two-sided 95 % confidence limits; limits are None where n = 1."""

    median: Real
    low95: Real | None
    high95: Real | None
    n: int


ComparisonKind = Literal["batch-vs-singles", "repeat", "position", "neighbours", "copies", "vs-reference"]


class OutputComparison(Record):
    """One output of a network that has several, compared alone, in its own type."""

    name: str
    n_images_equal: int
    bitwise_equal: bool
    max_abs: Real
    max_abs_relative: Real
    max_ulp: Real
    cosine_min: Real


class Comparison(Record):
    """Two sets of output rows of the same images, measured in float64.

    ``reference`` rows against ``candidate`` rows: singles against batched (batch-vs-singles); the first against the
    second run of the same calls (repeat; batch_size 1: singles); plain batched against rotated batched (position);
    plain batched against batched beside an outlier (neighbours); the first against every other row of N copies of one
    image (copies); fp64 singles against this variant's singles (vs-reference). ``issues`` names what is wrong with the
    rows themselves: "nan", "inf", "shape-mismatch", "count-mismatch", "signed-zero" (unequal bytes whose difference is
    0), "constant". A measure that cannot be taken is None (mismatch) or NaN; it is never 0.
    """

    model_config = ConfigDict(frozen=True, extra="allow")  # a new metric adds its keys without touching this file

    inputs: str
    condition: Condition
    kind: ComparisonKind
    batch_size: int = Field(ge=1)
    n_images: int
    n_images_equal: int
    bitwise_equal: bool
    issues: tuple[str, ...] = ()
    n_elements: int = 0
    n_elements_differing: int = 0
    max_abs: Real | None = None
    max_abs_relative: Real | None = None  # max_abs over the largest |logit| of the reference rows
    percentiles: dict[str, Real] | None = None  # p50 p85 p90 p95 p99 p100 of |difference|, pooled over images x classes
    max_ulp: Real | None = None  # in the output's own type, tiny elements excluded (see n_ulp_excluded)
    ulp_at: Real | None = None  # the reference value at which max_ulp occurs
    n_ulp_excluded: int | None = None
    relative_l2: Real | None = None
    relative_error_median: Real | None = None  # over images: ||difference|| / ||reference|| of one image
    sqnr_db: Real | None = None
    cosine_min: Real | None = None
    allclose: bool | None = None  # at allclose_tolerance
    allclose_tolerance: dict[str, Real] | None = None  # {"rtol": ..., "atol": ...}
    top1_flips: int | None = None
    top1_flip_upper95: Real | None = None  # one-sided exact bound on the share of images whose top-1 changes
    top5_changes: int | None = None
    recall_at_k: dict[str, Real] | None = None  # of an embedding: share of the k nearest that stay, by k
    outputs: list[OutputComparison] = []  # of a network with several outputs: each alone


class BatchClasses(Record):
    """Batch sizes whose output bytes are equal to one another, over the images they share."""

    inputs: str
    condition: Condition
    classes: list[list[int]]


class Fingerprint(Record):
    """SHA-256 of the output bytes of all images of a set, in order, for one variant, condition and N."""

    inputs: str
    condition: Condition
    batch_size: int
    sha256: str


class Margin(Record):
    """The margin screen: an estimate from observation.

    ``observed_noise``: largest |batched - singles| in logits.
    ``exposed_images``: indices of images whose top-1 margin does not exceed twice the noise seen on the *other* images.
    """

    observed_noise: Real
    screened_share: Real
    exposed_images: list[int]
    median_margin: Real | None = None


class DecidedBy(Record):
    """What decided a verdict."""

    inputs: str
    condition: Condition | None = None
    batch_size: int | None = None
    why: str


class ImagesRun(Record):
    """Which images of an input set were run under a condition: those from ``first`` to before ``stop``."""

    condition: Condition
    first: int
    stop: int


class InputsVerdict(Record):
    """The verdict of one variant on one input set."""

    inputs: str
    verdict: Verdict
    decided_by: DecidedBy
    n_images: int
    n_comparisons: int
    top1_flips: int  # images flipped by any tested condition
    top1_flip_upper95: Real
    margin: Margin | None = None
    clip_share: Real | None = None  # largest share of a quantized layer's activations at the clip limits
    clip_layer: str | None = None
    images_run: list[ImagesRun] = []  # by condition; arithmetic that a cap makes slow is measured on fewer


class Accuracy(Record):
    """Top-1 accuracy as a share, with its exact two-sided 95 % interval over n labelled images."""

    top1: Real
    low95: Real
    high95: Real
    n: int
    inputs: str = ""
    batch_size: int | None = Field(default=None, json_schema_extra=VOLATILE)  # the fastest N of this machine
    right: str | None = None  # "1" or "0" of each of the n images, in the study's one drawn order: for paired tests


class Agreement(Record):
    """How often a variant gives the reference's top-1 answer, as a share, with exact one-sided 95 % bounds.

    Counted over every image at hand that is no drawn noise, its singles, and the labelled images as they were run.
    ``n`` clusters: copies of one image, and crops of one photograph, are one cluster and count as the share of their
    ``n_answers`` answers that agree.

    ``reference``: the variant whose singles are the reference.
    """

    share: Real
    low95: Real
    high95: Real
    n: int
    n_answers: int
    reference: str
    counted: str = ""  # in words: which images, and how they were counted


class AccuracyDrop(Record):
    """fp32 singles minus this variant on the same images, as a share (0.02 = 2 points), with the exact paired bound.

    ``needed_n``: how many images would decide at the observed rates, where undecided.
    """

    value: Real
    upper95: Real  # over all looks together
    n: int
    only_reference_right: int
    only_variant_right: int
    decided: Literal["met", "not-met", "undecided"] | None  # None: no limit was set
    needed_n: int | None = None
    looks: int = 1  # how often it was to be looked at while images were added: each look has 5 % divided by it


class AccuracyAtN(Record):
    """Top-1 of the same ``n`` distinct labelled images, batched at one N and alone. Shares, not points.

    ``changed``: images whose top-1 class is not that of their singles, right or wrong.
    ``change``: batched minus singles, with its exact paired 95 % limits.
    ``mcnemar_p``: exact, two-sided.
    ``mcnemar_holm``: corrected over N.
    """

    batch_size: int = Field(ge=2)
    n: int
    top1: Real
    changed: int
    changed_upper95: Real
    only_singles_right: int
    only_batched_right: int
    change: Real
    change_low95: Real
    change_high95: Real
    mcnemar_p: Real
    mcnemar_holm: Real


Dependence = Literal["no", "equivalent", "not-equivalent", "undecided"]
"""no: no top-1 changed at any N, of enough images for the margin. Else whether the change lies within it."""


class BatchAccuracy(Record):
    """Does the accuracy of a variant depend on N, on one labelled set under one condition?

    ``changed`` of ``singles.n`` distinct images have another top-1 at some N. ``depends`` is None where no margin, in
    points of top-1, says what change would matter.
    """

    inputs: str
    condition: Condition
    singles: Accuracy
    at: list[AccuracyAtN]
    changed: int
    changed_upper95: Real
    margin_points: Real | None = None
    depends: Dependence | None = None


class DeviceMemory(Record):
    """The most a device's own counters saw: memory given to tensors, and taken from the device to serve them."""

    allocated_bytes: int
    reserved_bytes: int


class Cost(Record):
    """What a variant costs here, on the input set ``inputs`` at ``image_size``.

    Times are wall clock on the CPU; on a GPU they are the device's own, of the network alone: copies to and from the
    host are left out. ``peak_memory_bytes`` is the host's.
    """

    inputs: str
    image_size: int
    latency_ms: Interval | None
    throughput_img_s: dict[str, Interval]  # keyed by N
    size_bytes: int = Field(ge=0)
    peak_memory_bytes: int | None
    device_memory: DeviceMemory | None = None
    drift: Real | None = None  # median latency of the second round over the first, minus 1


# GraphMade and Effective are as models/spec/words.py has them for workers, which do without pydantic.
class GraphMade(Record):
    """One graph that was compiled.

    ``images``: how many it takes: ``1``, ``2 to 15``, ``any``.
    ``size``: height and width of each.
    ``operations``: what its code calls, by name; ``C++``: kernels written for it.
    """

    images: str
    size: tuple[int, ...]
    seconds: Real = Field(json_schema_extra=VOLATILE)  # that compiling took, in the process that was asked last
    operations: dict[str, int]


class Effective(Record):
    """What really ran, as read back from the engine.

    ``graphs``: those that were compiled for it.
    """

    precision: str
    provider: str
    int8_layers: int
    weight_layers: int
    note: str = ""
    graphs: list[GraphMade] = Field(default=[])


CauseVerdict = Literal["supported", "refuted", "inconclusive"]


class CauseFinding(Record):
    """One intervention at an origin, and what it showed.

    ``trees``: orders of summation in words, by N.
    """

    name: str
    verdict: CauseVerdict
    evidence: str
    trees: dict[str, str] = {}


class Origin(Record):
    """A layer whose output row for an image depends on N although its input row does not.

    ``elements_differing`` of ``elements_tried`` output elements differed between N = 1 and some N = k, over captured
    and drawn data; 0 where only a sibling (a layer of the same kernels and shapes) or provoked rounding ties gave it
    away, as ``found_by`` says.

    ``max_abs_relative``: ``max_abs`` over the largest |output| of the rows alone; None where only other data than the
    study's images show a difference.
    ``classes``: batch sizes whose rows were bitwise equal to one another in this layer; what only rounding ties told
    apart from N = 1 is one class.
    """

    layer: str
    kind: str
    signature: str
    condition: Condition
    batch_sizes: list[int]
    elements_differing: int
    elements_tried: int
    share: Real
    max_abs: Real
    max_ulp: Real | None
    found_by: Literal["captured", "drawn", "provoked", "sibling"]
    max_abs_relative: Real | None = None
    classes: list[list[int]]
    mechanism: str | None = None
    triggers: list[str] = []
    causes: list[CauseFinding] = []
    explained_by: str | None = None  # the layer of the same kernels and shapes at which the interventions were made
    reproducer: str | None = None  # a script in the run's folder that shows it at a layer of this signature
    reproducer_note: str | None = None  # why there is none


class BesideLogits(Record):
    """One image's logits beside these neighbours: the largest |difference| from its logits alone, and its top-1."""

    what: str
    change: Real
    top1_moved: bool


class NeighbourEffect(Record):
    """The logits of image ``victim`` at one N and its own place, as a function of what stands beside it.

    ``seen``: natural and made neighbours, at last the worst of all ``tried``, some of them found by a search.
    ``example``: a file in the run's folder with that batch, .npy [batch_size, ...], or .npz of an array for each input.
    """

    victim: int
    batch_size: int
    tried: int
    largest_logit: Real  # |value|, of the victim alone
    seen: list[BesideLogits]
    example: str


class Growth(Record):
    """How far one image's output of a layer in the batch is from the same image's alone, as deployed.

    ``steps``: of an integer output, how many of its values are another step; ``max_abs`` then counts steps too.
    """

    layer: str
    max_abs: Real
    relative_l2: Real
    steps: int | None = None


class Locating(Record):
    """How the origins were sought: what was tried, and the smallest rate it would have found in *every* layer.

    ``smallest_rate``: 3/n of the layer least tried (95 %, if its elements were independent, which they are not).
    ``condition``, with ``batch_sizes``: what the origins, the innocent kinds and their proof hold for.
    """

    inputs: str
    search: Literal["default", "full"] = "default"  # as --explain asked
    batch_sizes: list[int]
    layers: int
    layers_not_replayable: list[str]
    trials: int  # output elements compared
    smallest_rate: Real
    instrumented_bitwise_equal: bool  # looking inside changed no output bit
    innocent_kinds: list[str]  # kinds of layer that were never an origin here
    condition: Condition | None = None
    note: str = ""


RepairState = Literal["holds", "holds-top1", "fails", "out-of-time", "not-tried", "does-not-apply"]


class Delivery(Record):
    """What ``deploy`` needs to make a repaired network again; written without what is at its default.

    ``inputs``: the set whose first images were the examples.
    ``sha256``: of the rewritten graph, where it is one.
    """

    inputs: str
    change: Change
    serving: OwnThreads = AS_BEFORE
    sha256: str | None = None

    @field_serializer("change", "serving")
    def _written(self, values: Change | OwnThreads) -> dict[str, Any]:
        return without_defaults(values)


class RangeFailure(Record):
    """Where the claim of a range does not hold.

    ``kind``: a batch of distinct images, copies of one, or rounding ties.
    ``differing``: rows whose bytes differ, and on ties output elements of layers.
    ``flipped``: rows with another top-1.
    """

    batch_size: int
    kind: Literal["batch", "copies", "ties"]
    differing: int
    flipped: int = 0


class FilledWith(Record):
    """How many images of a range came from where: the input set, the labelled images, drawn noise."""

    own: int
    labelled: int = 0
    drawn: int = 0


class RangeTies(Record):
    """Integer layers placed on rounding ties, N = 1 against every N asked up to ``to``; 1: none was tried in time."""

    layers: int
    elements: int
    to: int


class Range(Record):
    """What is chosen, verified at every N in the setting that is shipped: a batch of images and copies of one at each.

    ``to``: the claim holds at every N of ``sizes`` (and 1) up to this one.
    ``batch_size``: the N that was recommended when it was run: a failure up to there is one of what is shipped.
    ``stopped``: why not all of ``sizes`` were run.
    """

    claim: Literal["same-bytes", "same-top1"]
    sizes: list[int]
    to: int
    batch_size: int
    threads: int
    image_size: list[int]  # height, width
    inputs: str
    filled_with: FilledWith
    n_comparisons: int
    failed_at: list[int]
    failures: list[RangeFailure] = []
    ties: RangeTies | None = None  # None: no integer layers that could be moved to ties
    stopped: str | None = None
    seconds: Real = 0.0


class Repair(Record):
    """One rung of the ladder applied to a variant: verified bitwise over ``scope``, priced against the native variant.

    Ratios are repaired over native, medians of alternating calls, keyed by N.

    ``top1_stable``: no bit-equality, but in the scope no top-1 differs from the singles'.
    ``recomputed_share``: of the images that were run a second time.
    ``state``: all of that in one word, from the other fields where none is given; ``fails`` also where it could not be
    carried out, ``not-tried`` where it cannot win.
    """

    name: str
    state: RepairState = "does-not-apply"
    batch_invariant: bool | None  # None: does not apply here, or was not tried (``note`` says why)
    out_of_time: bool = False  # not tried to the end, or another way of it was not: the time for repairs was over
    scope: str
    switched_to: str | None = None  # of the rung ``switch``: the variant that takes its place
    layers: int = 0
    top1_stable: bool | None = None
    singles_as_native: bool | None = None  # its singles are, byte by byte, those of the unrepaired variant
    top1_as_native: int | None = None  # images whose singles top-1 is the native one, where the singles are not
    agreement: Agreement | None = None  # of its own singles, where they are not the native ones and were compared
    n_images: int = 0
    n_comparisons: int = 0
    recomputed_share: Real | None = None
    throughput_ratio: dict[str, Interval] = Field(default={}, json_schema_extra=VOLATILE)
    latency_ratio: dict[str, Interval] = Field(default={}, json_schema_extra=VOLATILE)
    unpriced: str | None = None  # why it holds and was not timed, where that was decided beforehand
    memory_ratio: Real | None = None  # of processes that serve the two alone: of ``repair`` only
    delivery: Delivery | None = None  # how to make it again; None: it does not hold
    range: Range | None = Field(default=None, json_schema_extra=VOLATILE)  # None: it was never the choice
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _in_one_word(cls, data: Any) -> Any:
        return {"state": _repair_state(data)} | data if isinstance(data, dict) else data


def _repair_state(given: Mapping[str, Any]) -> RepairState:
    invariant = given.get("batch_invariant")
    if invariant or given.get("top1_stable"):
        return "holds" if invariant else "holds-top1"
    if given.get("out_of_time"):
        return "out-of-time"
    return "does-not-apply" if invariant is None else "fails"


class NotRun(Record):
    """Something that was not run, and why.

    ``failed``: it was begun and could not be done.
    ``asked``: a flag asked to leave it out, so that nothing is missing.
    ``origins``: it was to tell where the difference starts.
    """

    inputs: str
    what: str
    why: str
    failed: bool = False
    asked: bool = False
    origins: bool = False


class VariantResult(Record):
    """Everything known of one variant.

    ``status``: measured, or why not (``reason``, ``remedy``).
    """

    name: str
    runtime: str
    precision: str
    status: Literal["measured", "unavailable", "failed"]
    reason: str | None = None
    remedy: str | None = None
    role: Literal["candidate", "reference"] = "candidate"
    device: str = "cpu"  # where it ran
    summary: str = ""
    recipe: dict[str, Any] = {}
    effective: Effective | None = None
    notes: list[str] = []
    verdict: Verdict | None = None
    decided_by: DecidedBy | None = None
    by_inputs: list[InputsVerdict] = []
    repeatable: bool | None = None
    comparisons: list[Comparison] = []
    classes: list[BatchClasses] = []
    fingerprints: list[Fingerprint] = []
    margin: Margin | None = None
    accuracy: Accuracy | None = None
    accuracy_drop: AccuracyDrop | None = None
    accuracy_note: str | None = None  # why there is no accuracy, where there is none
    cost_note: str | None = None  # why what it costs is not known, where it is not
    baseline: bool = False  # its singles are what accuracy drops are measured against: it cannot fail against itself
    agreement: Agreement | None = None  # None: no image at hand but drawn noise, or ``agreement_note``
    agreement_note: str | None = None  # why it is unknown although there are images to tell by
    batch_accuracy: list[BatchAccuracy] | None = None  # None: no labelled set was run batched
    cost: Cost | None = Field(default=None, json_schema_extra=VOLATILE)
    not_run: list[NotRun] = []
    origins: list[Origin] | None = None
    origins_complete: bool | None = Field(default=None, json_schema_extra=VOLATILE)
    """Proved: with exactly these layers in one shape the network is invariant; by a repair, where time was enough."""
    locating: Locating | None = None
    growth: list[Growth] | None = None
    neighbour_effect: NeighbourEffect | None = None  # where a scale of the batch or a leak couples its images
    repairs: list[Repair] | None = Field(default=None, json_schema_extra=VOLATILE)  # measured times choose among rungs
    range: Range | None = Field(default=None, json_schema_extra=VOLATILE)  # None: it was never the choice


class InvarianceAnswer(Record):
    """One variant's part of the answer. ``invariant`` is None where it could not be measured."""

    variant: str
    invariant: bool | None
    why: str


class Answer(Record):
    """Does fixed point make the results batch-invariant? For this scope, on this machine."""

    question: str
    verdict: Literal["yes", "no", "depends"] | None  # None: no int8 variant could be measured
    sentence: str
    by_variant: list[InvarianceAnswer]


class ClassOrder(Record):
    """How many of the ``n`` labelled images the reference gets right if the classes are numbered in another order."""

    name: str
    right: int
    mcnemar_p: Real  # against the labels as they are: exact, two-sided, corrected over the orders (Holm)


class Baseline(Record):
    """The reference's own top-1 on the labelled images: whether a drop against it means anything.

    ``failed``: why nothing can be recommended on these labels; None where the reference is sound.
    """

    variant: str
    top1: Real
    low95: Real  # two-sided
    high95: Real
    n: int
    classes: int
    least: Real  # a one-sided 95 % upper bound below this is no better than chance
    orders: list[ClassOrder] = []
    failed: str | None = None
    reasons: list[str] = []


class Mixing(Record):
    """Whether the network itself lets one image's row depend on the others' values, as its float variant shows.

    At one N and one place the neighbours were replaced while two outliers in the batch held the range of values.
    ``mixes`` is None where it could not be told (``evidence`` says why).
    """

    variant: str
    mixes: bool | None
    batch_size: int
    tried: int  # batches whose row was compared
    change: Real  # the largest |difference| of the row at fixed N and place, in logits
    largest_logit: Real
    evidence: str


class Policy(Record):
    """What the user demands and prefers. ``max_accuracy_drop`` is in absolute points of top-1 (2.0 = 0.02)."""

    stability: Literal["batch-invariant", "top1-stable", "none"] = "batch-invariant"
    max_accuracy_drop: Real | None = None  # None: no limit
    min_agreement: Real = 90.0  # percent of the images with the reference's answer
    max_latency_ms: Real | None = None  # of the median call at the recommended N
    max_size_mb: Real | None = None
    min_throughput_img_s: Real | None = None
    objective: Literal["throughput", "latency", "size"] = "throughput"
    equivalence_margin: Real | None = None  # points of top-1; demands nothing: see ``BatchAccuracy``
    max_latency_p99_ms: Real | None = None
    cost_margin: Real = 5.0  # per cent of cost within which two count as equal


class UpperLimit(Record):
    """A percentile of calls with its one-sided, distribution-free 95 % upper limit; None: too few calls to say."""

    value: Real | None
    upper95: Real | None


class CallTime(Record):
    """How long a call takes, in milliseconds, over ``n`` calls at one N."""

    n: int
    median: UpperLimit
    p95: UpperLimit
    p99: UpperLimit


class Contestant(Record):
    """One contestant of the race at one N.

    ``call_s``: seconds of its call in each round that counts, in their order.
    ``waited_s``: of each, how long its threads waited for a core, all together; empty: not known.
    ``tried_s``: seconds an image at each N that was tried before, by which ``batch_size`` was found: no price.
    ``more_s``: of calls of it alone, after the race.
    ``dropped``: why it did not run to the end.
    """

    variant: str
    batch_size: int
    call_s: list[Real] = []
    waited_s: list[Real] = []
    tried_s: dict[str, Real] = {}
    more_s: list[Real] = []
    load_s: Real | None = None
    peak_memory_bytes: int | None = None
    dropped: str | None = None


class Rejected(Record):
    """Why a variant was not chosen."""

    variant: str
    why: str


class Race(Record):
    """Calls made in turn, all other contestants stopped: a round is one call of each, in random order.

    ``disturbed``: rounds in which a call waited for a core, or the host took time; each was repeated until the patience
    was used up (``waited_s``), then kept.
    ``unsteady``: too many were.
    ``left_out``: who was not raced, and why.
    """

    inputs: str
    condition: Condition
    objective: Literal["throughput", "latency", "size"]
    seconds: Real
    rounds: int
    disturbed: int
    unsteady: bool
    waited_s: Real = 0.0
    contestants: list[Contestant]
    against_reference: list[Contestant] = []  # rounds of their own: the chosen one, and one of reference precision
    reference_unsteady: bool = False  # too many of those rounds were disturbed
    left_out: list[Rejected] = []


class RaceShown(Record):
    """What the race shows under the policy: cost over the leader's, by variant; ``standings`` say what follows."""

    seconds: Real
    rounds: int
    disturbed: int
    unsteady: bool
    ratios: dict[str, Interval] = {}
    standings: dict[str, Literal["leader", "as-fast", "undecided", "slower"]] = {}


class Sureness(Record):
    """The share of ``resamples`` of the race's rounds in which the same candidate is chosen."""

    share: Real
    resamples: int


class AtWork(Record):
    """What the chosen one does at the recommended N, by the race's own calls."""

    batch_size: int
    call_ms: CallTime
    throughput_img_s: Interval
    peak_memory_bytes: int | None
    load_s: Real | None


class Against(Record):
    """The chosen one against another: images a second over those of the other.

    ``raced``: in one race, else roughly.
    """

    variant: str
    ratio: Interval
    raced: bool


class ParetoPoint(Record):
    """A variant that no other beats in accuracy, cost and stability at once.

    ``raced``: so its throughput was had.
    """

    variant: str
    verdict: Verdict
    raced: bool = False
    throughput_img_s: Real | None
    latency_ms: Real | None
    size_bytes: int = Field(ge=0)
    accuracy: Real | None


class Recommendation(Record):
    """The choice under the policy. ``chosen`` is None when no candidate meets it."""

    policy: Policy
    chosen: str | None
    batch_size: int | None = None  # the N at which the objective is best
    because: list[str]
    because_rests_on: list[Literal["bytes", "answers", "accuracy", "cost", "other"]] = []  # of each reason its evidence
    rejected: list[Rejected]
    ties: list[str]  # who is not measurably slower than the choice
    pareto: list[ParetoPoint]
    warnings: list[str] = []
    would_change: list[str] = []  # what, asked differently, would lead to another choice, and to which
    deploy: str = ""  # the commands and the Python lines that deploy the choice
    withheld: str | None = None  # why nothing can be recommended, whatever the policy: of the whole study
    runner_up: str | None = None
    runner_up_batch_size: int | None = None  # the N at which the objective is best for that one
    sureness: Sureness | None = None  # None: no race decided
    decided_by: Literal["only-candidate", "speed", "stability", "accuracy", "error", "size", "passes"] | None = None
    race: RaceShown | None = None  # None: no race was run
    at_work: AtWork | None = None
    price_of_stability: Against | None = None  # None: it is itself the fastest that meets every other demand
    speed_up: Against | None = None  # over the fastest variant of the reference precision
    range: Range | None = None  # over which N it was verified; None: it was not


CHANNELS = frozenset((1, 3, 4))
"""How many a picture may have."""


class InputSet(Record):
    """One set of images.

    ``n``: distinct by content.
    ``skipped``: files left out, with the reason.
    """

    name: str
    source: str
    n: int
    n_files: int = 0
    kept_to_calibrate: int = 0  # and not measured, where fewer are left than were asked for
    shape: list[int]  # of one image: channels, height, width
    labelled: bool
    drawn: bool = False  # noise, no natural image: its top-1 say nothing
    sha256: str
    skipped: list[dict[str, str]] = []
    note: str = ""

    @property
    def of_pictures(self) -> bool:
        """Whether it holds pictures, [channels, height, width] or channels last."""
        return len(self.shape) == 3 and not CHANNELS.isdisjoint(self.shape[::2])


class Preprocessing(Record):
    """From a picture to the network's input: resized, the centre cut out, then (pixel x scale - mean) / std.

    ``size``: height and width of what is cut out.
    ``resize``: of the short side, or height and width.
    ``source``: where it is from.
    ``assumed``: nothing known of the network says it.
    ``text``: the same in words.
    """

    size: list[int]
    resize: int | list[int]
    interpolation: str
    mean: list[float]
    std: list[float]
    scale: float
    channel_order: str
    source: str
    assumed: bool
    text: str


class Weights(Record):
    """The weights under study."""

    source: str
    model: str
    sha256: str
    note: str
    num_classes: int | None  # None: an ONNX file that leaves it free
    preprocessing: Preprocessing | None = None


class Warning_(Record):
    """A warning with a stable code."""

    code: str
    text: str


class Tool(Record):
    """This program."""

    name: str = "isobatch"
    version: str


class Environment(Record):
    """The machine and its libraries: part of every verdict's scope."""

    cpu: str
    cores: int
    memory_bytes: int
    os: str
    python: str
    isa_hardware: str
    isa_effective: dict[str, str]  # per library, as read back by a worker
    isa_by_cap: dict[str, dict[str, str]] = {}  # of each cap, ``native`` among them: what each library read back
    threads: int
    packages: dict[str, str]
    settings: dict[str, str] = {}  # environment variables the workers ran with
    device: dict[str, str] = {}  # the GPU and what drives it, by what they say; empty for a study of the CPU alone


class Timing(Record):
    """Where the time went, in seconds.

    ``forward_passes``: calls of a network.
    ``images_passed``: images in these calls.
    ``warm_up_s``: in calls that went ahead of what is timed, counted in none of the former.
    """

    wall_s: Real = Field(json_schema_extra=VOLATILE)
    forward_s: Real = Field(json_schema_extra=VOLATILE)
    forward_passes: int
    images_passed: int
    warm_up_s: Real = Field(default=0.0, json_schema_extra=VOLATILE)
    stages: dict[str, Real] = Field(json_schema_extra=VOLATILE)  # seconds
    kept_jobs: int = Field(default=0, json_schema_extra=VOLATILE)
    peak_memory_bytes: int | None = Field(default=None, json_schema_extra=VOLATILE)  # of the whole process tree
    engine: str = Field(default="local", json_schema_extra=VOLATILE)
    machines: int = Field(default=1, json_schema_extra=VOLATILE)
    workers: int = Field(default=1, json_schema_extra=VOLATILE)  # the most that ran at once


class Study(Record):
    """The whole study: ``report.json``."""

    schema_version: int = SCHEMA_VERSION
    run_id: str = Field(json_schema_extra=VOLATILE)
    created_utc: str = Field(json_schema_extra=VOLATILE)
    tool: Tool
    environment: Environment
    config: dict[str, Any]
    weights: Weights
    pending: list[str] = []  # what is still to come, of a report written before the end
    left_out: list[str] = Field(default=[], json_schema_extra=VOLATILE)
    """For which ``--budget`` left no time: variants, and stages by their names in ``timing.stages``."""
    warnings: list[Warning_] = []
    inputs: list[InputSet]
    reference: str | None = None  # the variant that numeric error is measured against
    variants: list[VariantResult]
    baseline: Baseline | None = None  # None: no labels, or accuracy is not judged
    mixing: Mixing | None = None  # None: it was not looked into
    answer: Answer | None = None
    race: Race | None = Field(default=None, json_schema_extra=VOLATILE)  # None: none was run
    recommendation: Recommendation | None = Field(default=None, json_schema_extra=VOLATILE)
    timing: Timing | None = None
